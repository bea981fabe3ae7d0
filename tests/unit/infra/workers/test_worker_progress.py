"""What a worker says of itself while it loads."""

from __future__ import annotations

import threading
from typing import Any, cast

from infra.storage.storage import Storage
from infra.workers.worker import Worker


def test_a_worker_says_that_it_loads_its_first_model() -> None:
    began, may_end = threading.Event(), threading.Event()

    def load(model: str) -> Any:
        began.set()
        assert may_end.wait(10)

    worker = Worker(Storage("memory://loading"), cast(Any, load))
    assert not worker.progress().loading
    thread = threading.Thread(target=worker.warm, args=("embedded",))
    thread.start()
    assert began.wait(10)
    assert (worker.progress().loading, worker.progress().busy) == (True, False)
    may_end.set()
    thread.join(10)
    assert not worker.progress().loading
