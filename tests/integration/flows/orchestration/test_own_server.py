"""The Prefect server of the command line's own; that it answers and ends with its parent is tested end to end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.cli.errors import ENVIRONMENT, explain
from flows.local.own_server import OwnServer, ServerUnavailable


@pytest.mark.timeout(120)
def test_a_server_that_can_not_start_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PREFECT_HOME", os.devnull)  # no place for its database
    server = OwnServer()
    with pytest.raises(ServerUnavailable, match=r"ended with code \d+.*PREFECT_API_URL") as raised:
        server.wait()
    server.stop()

    capfd.readouterr()
    assert explain(raised.value) == ENVIRONMENT
    assert capfd.readouterr() == ("", f"nightreel: {raised.value}\n")


@pytest.mark.timeout(300)
def test_it_answers_this_process_and_nobody_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The key of a profile of Prefect's counts, as the whole of Prefect would have it."""
    home = tmp_path / "prefect"
    home.mkdir(mode=0o700)
    (home / "profiles.toml").write_text(
        'active = "mine"\n[profiles.mine]\nPREFECT_SERVER_API_AUTH_STRING = "me:secret"\n'
    )
    monkeypatch.setenv("PREFECT_HOME", str(home))
    for name in ("PREFECT_API_URL", "PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING", "PREFECT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    code = (
        "import httpx; from flows.local.own_server import prefect_server, own_server\n"
        "from infra.environment import prepare_prefect; prepare_prefect(quiet=True)\n"
        "with prefect_server('prefect.client.orchestration'):\n"
        "    from prefect.client.orchestration import get_client\n"
        "    with get_client(sync_client=True) as client: print(len(client.read_flow_runs()))\n"
        "    url = f'http://127.0.0.1:{own_server().port}/api/flow_runs/filter'\n"
        "    origin = {'Origin': 'http://127.0.0.1:1'}\n"
        "    for more in ({}, {'Authorization': 'Basic bWU6d3Jvbmc='}, origin, {'Host': 'attacker.example'}):\n"
        "        print(httpx.post(url, json={}, headers=more, trust_env=False).status_code)\n"
        "    print(own_server().key)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert said.stdout.split() == ["0", "401", "401", "403", "403", "me:secret"], said.stderr
    assert (home / "prefect.db").stat().st_mode & 0o077 == 0
