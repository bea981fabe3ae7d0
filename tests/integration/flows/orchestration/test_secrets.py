"""No secret of a manifest's addresses lies in Prefect's tables after its run: logs, states, artifacts, names."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.orchestration.handover import handing_over
from flows.orchestration.sealed import Unforeseen, sealed
from flows.render_manifest import render_manifest
from infra.settings import InfraSettings
from infra.storage.storage import Storage
from infra.workers.local_pool import LocalPool
from tests.helpers.file_server import file_server
from tests.helpers.flow_runs import FlowRun
from tests.helpers.planted import found_in_folder
from tests.helpers.render_jobs import planned, quick_row, write_manifest

PLANTED = ("Pl4ntedSig", "Pl4ntedPass")


@pytest.mark.timeout(400)
def test_nothing_of_a_run_in_the_tables_holds_a_secret(prefect_server: None, tmp_path: Path) -> None:
    from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL

    output = tmp_path / "out"
    with file_server() as server:
        server.files["/c.png?sig=Pl4ntedSig"] = b"no picture"
        host = server.url.removeprefix("http://")
        rows = [
            quick_row("gone", init_image=f"http://me:Pl4ntedPass@{host}/gone.png?sig=Pl4ntedSig"),
            quick_row("wrong", init_image=f"{server.url}/c.png?sig=Pl4ntedSig"),
            quick_row("apple"),
        ]
        manifest = write_manifest(tmp_path / "m.parquet", rows)
        job = planned(manifest, str(output), InfraSettings(read_private_hosts=("127.0.0.1",)))
        job.pool.set_result(LocalPool(Storage(str(output)), reading=job.reading))
        with handing_over(job):
            run = FlowRun(render_manifest, manifest, output)
    assert run.state.name == "FramesMissing"
    artifacts = run.artifacts()
    assert "gone.png?...' of video 'gone' does not exist" in artifacts["failed-frames"]
    database = Path(PREFECT_API_DATABASE_CONNECTION_URL.value().partition("///")[2])
    assert "apple" in database.read_bytes().decode("latin-1") + "".join(
        path.read_bytes().decode("latin-1") for path in database.parent.glob(f"{database.name}*")
    )
    assert found_in_folder(database.parent, PLANTED) == []
    assert found_in_folder(output, PLANTED) == []


def test_an_error_that_nobody_foresaw_leaves_its_secret_behind() -> None:
    with pytest.raises(Unforeseen, match=r"ValueError: no answer from https://host/x\?\.\.\."), sealed():
        raise ValueError("no answer from https://host/x?sig=Pl4ntedSig")
    with pytest.raises(KeyError, match="harmless"), sealed():
        raise KeyError("harmless")
