"""Workers that train together, as processes of this machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from renderers.errors import FetchFailed
from renderers.training.workers import agree
from tests.helpers.root import ROOT

TOGETHER = """
import sys
import torch.distributed as dist
from renderers.errors import FetchFailed
from renderers.training.workers import agree

rank, rendezvous = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
did = []
agree(lambda: did.append(rank))


def fail():
    if rank == 1:
        raise FetchFailed("no room on the second machine")


try:
    agree(fail)
except FetchFailed as error:
    print(did, error)
"""


def test_what_fails_for_one_fails_for_all(tmp_path: Path) -> None:
    """A worker that is alone in failing would leave the others waiting for it."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", TOGETHER, str(rank), str(tmp_path / "rendezvous")],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    assert [worker.communicate(timeout=120)[0].strip() for worker in workers] == [
        f"[{rank}] no room on the second machine" for rank in range(2)
    ]


def test_one_alone_raises_what_it_met() -> None:
    def fail() -> None:
        raise FetchFailed("no room")

    agree(lambda: None)
    with pytest.raises(FetchFailed, match="no room"):
        agree(fail)
