"""An output to look at: a job that has rendered, and failed, on a `LocalPool`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from fastapi.testclient import TestClient

from flows.job.dispatch import run_job
from flows.job.run_documents import RunIdentity, documenting
from infra.settings import InfraSettings
from infra.storage.storage import Storage
from infra.workers.local_pool import LocalPool
from infra.workers.tasks import FrameTask
from infra.workers.worker import Worker
from tests.helpers.live_client import KEY, client_of
from tests.helpers.render_jobs import planned, quick_row, write_manifest

FAULT = "no camera at frame 3: <img src=x onerror=alert(1)>\u202e"


class Faulty(Worker):
    """Fails the frames of one video from the third on."""

    def render_frames(self, tasks: Sequence[FrameTask]) -> list[Exception | None]:
        if any(task.row.video_id == "poisoned" and task.frame.index >= 3 for task in tasks):
            return [ValueError(FAULT) for _ in tasks]
        return super().render_frames(tasks)


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    """`reef` is whole; `poisoned` has frames 0 to 2, and 3 failed."""
    folder = tmp_path_factory.mktemp("watched")
    rows = [quick_row("reef", "<script>alert(1)</script>", frames=4), quick_row("poisoned", frames=6)]
    settings = InfraSettings(failure_share=1.0)
    job = planned(write_manifest(folder / "m.parquet", rows), str(folder / "out"), settings)
    pool = LocalPool(Storage(str(folder / "out")), size=2, make=Faulty)
    job.pool.set_result(pool)
    with documenting(job, RunIdentity("render-manifest", "<b>night</b>", "", 1, "javascript:alert(1)")) as documents:
        run_job(job, pool)
        documents.end("FramesMissing", "3/10 frames missing")
    return job.output


@pytest.fixture
def page(output: Storage) -> Iterator[TestClient]:
    with client_of(output) as client:
        client.headers["Authorization"] = f"Bearer {KEY}"
        yield client
