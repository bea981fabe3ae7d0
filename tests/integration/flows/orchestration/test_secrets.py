"""No secret of a manifest's addresses lies in Prefect's tables after its run: logs, states, artifacts, names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flows.orchestration.deployments import DEPLOYMENTS, Deployment
from flows.orchestration.forms.addresses import ADDRESS
from flows.orchestration.handover import handing_over
from flows.orchestration.registration import flow_of
from flows.orchestration.sealed import Unforeseen, sealed
from flows.render_manifest import render_manifest
from infra.settings import InfraSettings
from infra.storage.storage import Storage
from infra.workers.local_pool import LocalPool
from manifests.masking import has_secret
from renderers.errors import BadInput
from tests.helpers.file_server import file_server
from tests.helpers.flow_runs import FlowRun
from tests.helpers.planted import found_in_bytes, found_in_folder
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


@pytest.mark.timeout(200)
@pytest.mark.parametrize("given", [{"manifest": "https://host.example/m.parquet?sig=Pl4ntedSig", "output": "out"},
                                   {"manifest": "m.parquet", "output": "s3://me:Pl4ntedPass@bucket/out"}])  # fmt: skip
def test_a_flow_called_from_python_refuses_before_anything_is_stored(
    prefect_server: None, given: dict[str, str], tmp_path: Path
) -> None:
    """Prefect stores what a run is given before it validates it."""
    from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL

    for called in (render_manifest, render_manifest.with_options(name="another")):
        with pytest.raises(BadInput, match="lies in Prefect's tables") as refused:
            called(**given, return_state=True)
        assert found_in_bytes(str(refused.value).encode(), PLANTED) == []
    database = Path(PREFECT_API_DATABASE_CONNECTION_URL.value().partition("///")[2])
    assert found_in_folder(database.parent, PLANTED) == []


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment.name)
def test_no_flow_of_ours_stores_a_secret(deployment: Deployment) -> None:
    found = flow_of(deployment)
    (name, *_) = (name for name in found.parameters.properties if name in ("manifest", "output"))
    for given in (f"https://h.example/{it}?sig=Pl4ntedSig" for it in ("a", "b.parquet")):
        with pytest.raises(BadInput, match=f"{name} 'https://h.example/"):
            found.serialize_parameters({name: given})
    with pytest.raises(BadInput):
        found.serialize_parameters({"images": ["a.png", "https://h.example/a.png?sig=Pl4ntedSig"]})
    assert found.serialize_parameters({name: "s3://bucket/x", "priority": 3}) == {name: "s3://bucket/x", "priority": 3}


@pytest.mark.parametrize(
    ("address", "good"),
    [("user:Pl4ntedPass@host.example/m", False), ("//u:Pl4ntedPass@h/m", False), ("h.example/m?sig=Pl4ntedSig", False),
     ("data:text/csv,a", False), ("night/m.parquet", True), ("C:\\night\\m@2.parquet", True), ("s3://b/m*", True),
     ("nights.old/part-?.parquet", True), ("/data/16:9@2x/m.parquet", True), ("{date}/m.parquet", True)],
)  # fmt: skip
def test_the_form_refuses_what_the_flow_would(address: str, good: bool) -> None:
    assert bool(re.search(ADDRESS, address)) is good
    assert has_secret(address) is not good


def test_an_error_that_nobody_foresaw_leaves_its_secret_behind() -> None:
    with pytest.raises(Unforeseen, match=r"ValueError: no answer from https://host/x\?\.\.\."), sealed():
        raise ValueError("no answer from https://host/x?sig=Pl4ntedSig")
    with pytest.raises(KeyError, match="harmless"), sealed():
        raise KeyError("harmless")
