"""Beginning a flow run of `rerun-frames` for whoever shows an output, as its form does."""

from __future__ import annotations

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.utilities.urls import url_for

from flows.orchestration.links import DEPLOYMENT
from flows.orchestration.run_names import rerun_title
from flows.planning.retakes import After
from flows.watch.asking import BegunRerun
from manifests.errors import ErrorKind, NightreelError

__all__ = ["RerunUnavailable", "begin_rerun"]


class RerunUnavailable(NightreelError):
    """The server does not begin a re-run; the message says why."""

    kind = ErrorKind.INFRASTRUCTURE


def begin_rerun(output: str, video: str, frames: str, after: After, seed: int | None) -> BegunRerun:
    """Begin a flow run of the deployment `rerun-frames` on the server that Prefect's settings name.

    Raises:
        RerunUnavailable: the server does not answer, refuses, or offers no such deployment.
    """
    parameters = {"output": output, "video": video, "frames": frames, "after": after, "seed": seed}
    try:
        with get_client(sync_client=True) as client:
            deployment = client.read_deployment_by_name(DEPLOYMENT)
            # the name that the flow gives itself once it runs: until then Prefect's would be two words by chance
            name = rerun_title(frames, video, output)
            run = client.create_flow_run_from_deployment(deployment.id, parameters=parameters, name=name)
    except ObjectNotFound as error:
        raise RerunUnavailable(
            f"the Prefect server offers no deployment '{DEPLOYMENT}': start `nightreel up`, or `prefect deploy`"
        ) from error
    except (PrefectException, httpx.HTTPError, OSError) as error:
        raise RerunUnavailable(f"the Prefect server did not begin a re-run: {error}") from error
    return BegunRerun(run.name, url_for("flow-run", obj_id=run.id) or "")
