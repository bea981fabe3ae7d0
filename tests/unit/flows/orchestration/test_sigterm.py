"""What Ray does with SIGTERM in a process that renders, and who has it in the end."""

from __future__ import annotations

import faulthandler
import os
import signal
from pathlib import Path

from flows.orchestration.run import take_back_sigterm


def test_a_handler_that_was_put_before_pythons_is_taken_out(tmp_path: Path) -> None:
    """As Ray's, in C: with it a cancelled run was killed after three seconds, its report and artifacts half made."""
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with (tmp_path / "trace").open("w") as trace:
            faulthandler.register(signal.SIGTERM, file=trace)
            os.kill(os.getpid(), signal.SIGTERM)
            size = (tmp_path / "trace").stat().st_size
            assert (heard, size > 0) == ([], True), "Python is not asked"
            take_back_sigterm()
            os.kill(os.getpid(), signal.SIGTERM)
            assert (heard, (tmp_path / "trace").stat().st_size) == ([signal.SIGTERM], size)
    finally:
        faulthandler.unregister(signal.SIGTERM)
        signal.signal(signal.SIGTERM, before)
