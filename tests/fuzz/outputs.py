"""What lies in an output, damaged or written by somebody else, and all that reads it: `status`, the live page, `prune`,
a job that renders into it again, and its report."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from flows.job.output_videos import stored_status
from flows.retention.pruning import look
from flows.watch.access import PREFIX, Access
from flows.watch.app import make_app
from flows.watch.outputs import OneOutput, name_of
from infra.storage.storage import Storage
from manifests.errors import NightreelError
from renderers.registry import Registry
from tests.fuzz import seeds
from tests.fuzz.judging import Finding, refused, said
from tests.helpers.live_client import KEY, OURS
from tests.helpers.render_jobs import gather_report, planned, quick_row, write_manifest

__all__ = ["read_by_page", "read_by_prune", "read_by_report", "read_by_status"]

Documents = Mapping[str, bytes]
_NUMBERS = count()
_REGISTRY = Registry()


@contextmanager
def _output(documents: Documents) -> Iterator[Storage]:
    output = Storage(f"memory://fuzz-{next(_NUMBERS)}")
    try:
        for key, data in {**seeds.good_output(), **documents}.items():
            output.put(key, data, existing="replace")
        yield output
    finally:
        seeds.forget(output)


def read_by_status(documents: Documents) -> None:
    """Whatever lies in it, `status` shows the video that is good."""
    with _output(documents) as output:
        shown = {it.video_id: it for it in stored_status(output, _REGISTRY)}
    if seeds.GOOD not in shown:
        raise Finding("the good video is not shown")
    for status in shown.values():
        if status.reason:
            said(status.reason)


def read_by_prune(documents: Documents) -> None:
    """Nothing of the good video goes, and what was passed over has a reason."""
    with _output(documents) as output:
        try:
            found = look(output, _REGISTRY, datetime.now(UTC))
        except NightreelError as error:
            refused(error)
            return
    if gone := [it.key for it in found.superfluous if it.key.startswith(f"{seeds.GOOD}/")]:
        raise Finding(f"of the good video would go: {gone}")
    for _, reason in found.passed_over:
        said(reason)


def read_by_page(documents: Documents) -> None:
    """The live page answers every question, with what is asked for or with a reason, and shows the good video."""
    with _output(documents) as output:
        app = make_app(OneOutput(output), Access(KEY), _REGISTRY, lambda: 0.0)
        client = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=True)
        client.post(f"{PREFIX}/api/key", json={"key": KEY}, headers=OURS).raise_for_status()
        asked = {"o": name_of(output.root)}
        view = _answer(client, "view", asked)
        if seeds.GOOD not in str(view):
            raise Finding(f"the good video is not shown: {view!r:.300}")
        for thread in threading.enumerate():
            if thread.name == "other videos":
                thread.join()
        _answer(client, "overview", asked)
        for video in (seeds.GOOD, seeds.STRANGER):
            of_video = asked | {"video": video}
            page = _answer(client, "video", of_video)
            if video == seeds.GOOD and len(page["states"]) != seeds.FRAMES:
                raise Finding(f"the good video has not its frames: {page!r:.300}")
            _answer(client, "frame", of_video | {"frame": "1"})


def _answer(client: TestClient, what: str, asked: Mapping[str, str]) -> Any:
    answer = client.get(f"{PREFIX}/api/{what}", params=dict(asked), headers={"Host": "127.0.0.1"})
    if answer.is_success:
        return answer.json()
    document = answer.json()
    said(str(document.get("error") or document.get("detail") or ""))
    if answer.status_code not in (404, 503):
        raise Finding(f"{what} answers {answer.status_code}: {document}")
    return None


def read_by_report(documents: Documents) -> None:
    """A job that renders into the output plans its own video, and its report shows that one."""
    with _output(documents) as output:
        try:
            job = planned(_manifest(), output.root)
            report = gather_report(job, actors=1).report
        except NightreelError as error:
            refused(error)
            return
        if seeds.GOOD not in {it.video_id for it in report.videos}:
            raise Finding("the job's own video is not on the report")


@cache
def _manifest() -> str:
    folder = tempfile.mkdtemp(prefix="nightreel-fuzz-")  # one file, for the life of this process
    return write_manifest(Path(folder, "m.parquet"), [quick_row(seeds.GOOD)])
