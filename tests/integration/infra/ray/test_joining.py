"""A cluster that `nightreel up` started, joined from another process of the same user by the address that it prints."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.ports import free_port
from tests.helpers.ray_head import running_head

pytestmark = pytest.mark.timeout(500)

JOIN = """
import sys
from infra.ray.cluster import RayUnavailable, connect
from infra.settings import InfraSettings

try:
    connect(InfraSettings())
except RayUnavailable as error:
    sys.exit(f"refused: {error}")

import ray

print("answer", ray.get(ray.remote(lambda: 6 * 7).remote()))
"""


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a head as `up` starts it, with its folder in `tmp_path`."""
    with running_head(tmp_path, monkeypatch) as address:
        yield address


def join(address: str) -> subprocess.CompletedProcess[str]:
    """A process of this user that knows the address and Prefect's folder, and nothing else."""
    return subprocess.run(
        [sys.executable, "-c", JOIN], env=os.environ | {"NIGHTREEL_RAY_ADDRESS": address},
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip


def test_the_address_suffices_and_only_its_user_can_read_the_token(address: str, tmp_path: Path) -> None:
    joined = join(address)
    assert joined.stdout == "answer 42\n", joined.stderr
    folder = tmp_path / "prefect" / "nightreel-up"
    for name in ("ray-token", "ray.json"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    token = (folder / "ray-token").read_text()
    assert len(token) == 64
    assert token not in (folder / "ray.json").read_text()
    ray_own = Path.home() / ".ray" / "auth_token"
    assert not ray_own.exists() or ray_own.read_text() != token


@pytest.mark.minutes
def test_an_address_where_nobody_listens_gets_its_verdict_within_a_minute() -> None:
    began = time.monotonic()
    refused = join(f"127.0.0.1:{free_port()}")
    assert refused.returncode == 1
    assert "refused: no Ray cluster at '127.0.0.1:" in refused.stderr
    assert "Unset it to use this machine alone" in refused.stderr
    assert time.monotonic() - began < 120  # 20 s of patience; the rest is the import of Ray on a busy machine
