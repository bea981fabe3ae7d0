"""What a pool of processes works on ends with whoever started it: a judge is fitted for half an hour."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.helpers.commands import descendants, wait_until_gone
from tests.helpers.root import ROOT

PARENT = """
import multiprocessing, os, sys, time
from concurrent.futures import ProcessPoolExecutor
from renderers.pool_process import end_with_parent

def busy(where):
    with open(where, "w") as file:
        file.write(str(os.getpid()))
    os.rename(where, where + ".done")
    time.sleep(600)

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=end_with_parent) as pool:
        future = pool.submit(busy, sys.argv[1])
        while not os.path.exists(sys.argv[1] + ".done"):
            time.sleep(0.05)
        print("up", flush=True)
        future.result()
"""


def test_a_busy_process_ends_with_its_killed_parent(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py"), str(tmp_path / "pid")],
        env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert parent.stdout is not None
    with parent.stdout as said:
        assert said.readline() == "up\n"
    busy = int((tmp_path / "pid.done").read_text())
    below = descendants(parent.pid)
    assert busy in below
    parent.kill()
    parent.wait(10)
    assert wait_until_gone(below, 60) == []
