"""What open_clip says while it loads stays out of logs, and what others say does not, now or later."""

from __future__ import annotations

import logging
import threading

import pytest

from renderers.models.perceptor.quiet import quiet


def test_what_this_thread_says_on_the_root_logger_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), quiet(logging.WARNING):
        logging.info("a step")
        logging.warning("a warning")
        logging.getLogger("nightreel.tests").info("of ours")
        other = threading.Thread(target=logging.info, args=("of another thread",))
        other.start()
        other.join()
    logging.warning("after")
    assert [record.message for record in caplog.records] == ["a warning", "of ours", "of another thread", "after"]


def test_two_threads_that_load_at_a_time_leave_the_logger_as_it_was() -> None:
    root = logging.getLogger()
    before = root.level, list(root.filters)
    both, first_left = threading.Barrier(2), threading.Event()

    def load(first: bool) -> None:
        if not first:
            both.wait()  # begins once the other has, and ends after it
        with quiet(logging.ERROR):
            if first:
                both.wait()
            else:
                first_left.wait(10)
        if first:
            first_left.set()

    threads = [threading.Thread(target=load, args=(first,)) for first in (True, False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (root.level, list(root.filters)) == before
