"""Addresses in Prefect's UI that open the form of `rerun-frames` with its fields filled in."""

import json
from collections.abc import Callable
from urllib.parse import quote

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.utilities.urls import url_for

__all__ = ["rerun_address"]

DEPLOYMENT = "rerun-frames/rerun-frames"


def rerun_address(output: str) -> Callable[[str, str], str]:
    """A function from a video's id and frames to the address of the form; "" where nothing serves `rerun-frames`."""
    with get_client(sync_client=True) as client:
        try:
            deployment = client.read_deployment_by_name(DEPLOYMENT)
        except ObjectNotFound:
            return lambda video, frames: ""
    form = url_for("deployment", obj_id=deployment.id)

    def address(video: str, frames: str) -> str:
        filled = json.dumps({"output": output, "video": video, "frames": frames})
        return f"{form}/run?parameters={quote(filled)}" if form else ""

    return address
