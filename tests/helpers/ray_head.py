"""A Ray of this machine's own as `nightreel up` starts it, for other processes to join by its address alone."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.child_process import ChildProcess
from infra.environment import child_environment, up_environment
from infra.ports import free_port


@contextmanager
def running_head(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a head; who has `folder / "prefect"` as Prefect's folder finds its token."""
    for name in [name for name in os.environ if name.startswith(("RAY_", "NIGHTREEL_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PREFECT_HOME", str(folder / "prefect"))
    port = free_port()
    environment = child_environment(up_environment("http://127.0.0.1:9", f"127.0.0.1:{port}", own_ray=True, key=None))
    head = ChildProcess("infra.ray.head", [str(port)], environment=environment, log=folder / "head.log")
    try:
        while not head.said("ready"):
            assert head.ended() is None, (folder / "head.log").read_text()
            time.sleep(0.2)
        yield f"127.0.0.1:{port}"
    finally:
        head.kill()
