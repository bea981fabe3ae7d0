"""The Ray that `nightreel render` starts: on loopback only, for nobody without its token, its files nobody else's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.listening import LOOPBACK

START = """
import json, os, stat, sys
from pathlib import Path

os.umask(0o022)
import httpx
from infra.ray import private_cluster
from infra.ray.cluster import connect
from infra.settings import InfraSettings

connect(InfraSettings())
import ray
from tests.helpers.commands import descendants
from tests.helpers.listening import listening, ports

below = [os.getpid(), *descendants(os.getpid())]
answer = ray.get(ray.remote(lambda: 6 * 7).remote())
told = {}
for port in ports(below):
    for path in ("/", "/metrics", "/nodes", "/api/jobs/", "/logs"):
        try:
            reply = httpx.get(f"http://127.0.0.1:{port}{path}", timeout=5, trust_env=False)
        except httpx.HTTPError:
            continue  # gRPC
        if reply.status_code != 401:
            told[f"{port}{path}"] = reply.text[:200]
session = Path(ray._private.worker._global_node.get_session_dir_path())
open_to_all = all(stat.S_IMODE(parent.stat().st_mode) & 0o001 for parent in session.parents)
token = os.environ.get("RAY_AUTH_TOKEN")
commands = [Path(f"/proc/{pid}/cmdline").read_text() for pid in below]
secret = private_cluster._TOKEN
print(json.dumps({
    "answer": answer, "listening": listening(below), "told": told, "open": open_to_all, "token": token,
    "shown": any(secret in command for command in commands),
    "kept": [str(file) for file in session.rglob("*") if file.is_file() and secret.encode() in file.read_bytes()],
    "address": ray.get_runtime_context().gcs_address,
}), flush=True)
sys.stdin.read()
"""
# Somebody who knows the address and has no token, or another one.
STRANGER = """
import sys
from ray._raylet import GcsClient

print("read", GcsClient(address=sys.argv[1]).get_all_node_info(timeout=20))
"""


@pytest.mark.timeout(500)
def test_a_ray_of_a_commands_own_serves_nobody_else(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "NIGHTREEL_"))}
    environment["HOME"] = str(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", START], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stdout is not None
            serves_nobody_else(json.loads(running.stdout.readline()), environment)
            assert not (tmp_path / ".ray").exists(), "Ray's own token, which everybody may read"
        finally:
            running.kill()


def serves_nobody_else(found: dict[str, Any], environment: dict[str, str]) -> None:
    assert found["answer"] == 42
    assert sum(found["listening"].values()) > 5
    assert set(found["listening"]) <= LOOPBACK, found["listening"]
    assert found["told"] == {}, "servers that ask for no token"
    assert not found["open"], "its folders are open to other accounts"
    assert (found["token"], found["shown"], found["kept"]) == (None, False, [])
    other = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "f" * 64}
    for stranger in ({"RAY_AUTH_MODE": "disabled"}, other):
        asked = subprocess.run(
            [sys.executable, "-c", STRANGER, found["address"]], env=environment | stranger,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert asked.returncode != 0
        assert "read" not in asked.stdout
        assert "nauth" in asked.stderr, asked.stderr[-2000:]  # unauthenticated, unauthorized


def test_its_environment_is_as_before_afterwards() -> None:
    code = (
        "import os; before = dict(os.environ)\n"
        "from infra.ray.private_cluster import private_start\n"
        "loaded = dict(os.environ)\n"
        "with private_start() as folder:\n"
        "    inside = dict(os.environ)\n"
        "assert dict(os.environ) == loaded\n"
        "assert len(inside['RAY_AUTH_TOKEN']) == 64\n"
        "assert folder.endswith('/ray')\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "NIGHTREEL_"))}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
