"""Processes that end with their parent, given words, and answering with words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.child_process import ChildProcess
from tests.helpers.commands import descendants, wait_until_gone
from tests.helpers.root import ROOT

# Has a process of its own, says "ready", and "heard" once it is sent "go".
CHILD = """
import subprocess, sys, time
from infra.child_process import Parent
parent = Parent()
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
parent.tell("ready")
print("a message", flush=True)
parent.wait_for("go")
parent.tell("heard")
time.sleep(600)
"""
PARENT = """
import os, sys, time
from pathlib import Path
from infra.child_process import ChildProcess
child = ChildProcess("a_child", environment=dict(os.environ), log=Path(sys.argv[1]))
while not child.said("ready"):
    time.sleep(0.05)
print("up", flush=True)
time.sleep(600)
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "a_child.py").write_text(CHILD)
    return {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_child_hears_tells_and_ends_with_all_below_it(tmp_path: Path, environment: dict[str, str]) -> None:
    child = ChildProcess("a_child", environment=environment, log=tmp_path / "log")
    wait_for(lambda: child.said("ready"))
    assert not child.said("heard")
    assert child.ended() is None
    child.tell("go")
    wait_for(lambda: child.said("heard"))
    assert child.said("ready")  # what was said once stays said
    assert (tmp_path / "log").read_text() == "a message\n"
    below = descendants(child.pid)
    assert len(below) == 1
    child.kill()
    assert child.ended() == -signal.SIGKILL
    assert wait_until_gone(below, 10) == []


def test_a_child_that_ended_may_be_reported_and_killed(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "a_child.py").write_text("raise SystemExit(7)")
    child = ChildProcess("a_child", environment=environment, log=tmp_path / "log")
    wait_for(lambda: child.ended() is not None)
    assert child.ended() == 7
    child.tell("go")
    assert not child.said("ready")
    child.kill()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_child_outlives_its_parent(tmp_path: Path, environment: dict[str, str], how: signal.Signals) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path / "log")]
    parent = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout as said:
        assert said.readline() == "up\n"
    below = descendants(parent.pid)
    assert len(below) == 2
    os.kill(parent.pid, how)
    parent.wait(10)
    assert wait_until_gone(below, 20) == []
