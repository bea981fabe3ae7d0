"""The deployments of nightreel, the one list of them: what a server shows, with a form for each.

`nightreel up` serves them from a process of this machine (flows/orchestration/registration.py); infra/prefect.yaml,
which is made from this list, has them for a cluster's work pool; the doctor looks for them, and the automations look
after their runs. No Prefect here: commands that only need the names import it.

To add a flow, write its file beside flows/nightly.py, add it here, and run `make deployments`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["DEPLOYMENTS", "NAMES", "NIGHTLY", "QUEUES", "Deployment", "NightlyOptions", "Queue", "Schedule"]

#: The queues of a work pool, those first whose runs begin first, and what each is for.
QUEUES = {
    "urgent": "Somebody waits for it: begins before all others",
    "default": "What has no queue of its own",
    "bulk": "Nights and other long work: begins when nothing else waits",
}
Queue = Literal["urgent", "default", "bulk"]


@dataclass(frozen=True)
class Schedule:
    """When runs start by themselves: `cron` has minute, hour, day, month and weekday."""

    cron: str
    time_zone: str


@dataclass(frozen=True)
class NightlyOptions:
    """When `nightly` runs and on what; patterns, in which {date} stands for the night's date."""

    manifest: str = "manifests/{date}.parquet"
    output: str = "nights/{date}"
    cron: str = "0 1 * * *"
    time_zone: str = "UTC"

    @property
    def parameters(self) -> dict[str, str]:
        """What the flow is given; the time zone counts twice, for the schedule and for what {date} is."""
        return {"manifest": self.manifest, "output": self.output, "time_zone": self.time_zone}

    @property
    def schedule(self) -> Schedule:
        return Schedule(self.cron, self.time_zone)


@dataclass(frozen=True)
class Deployment:
    """A flow as the server offers it, under the flow's own name.

    `entrypoint` is where a process imports the flow from. `parameters` are what its form is filled with. A `schedule`
    is registered switched off: who switches it on knows that the parameters name a real place. `queue` is where its
    runs wait in a work pool that `nightreel deploy` has made.
    """

    name: str
    entrypoint: str
    description: str
    tags: tuple[str, ...]
    parameters: tuple[tuple[str, str], ...] = ()
    schedule: Schedule | None = None
    queue: Queue = "default"


NIGHTLY = "nightly"
_NIGHT = NightlyOptions()

DEPLOYMENTS = (
    Deployment(
        "render-manifest",
        "flows.render_manifest.render_manifest",
        "Render a manifest of prompts into videos. What is in storage already is not rendered again, so a Retry of a "
        "run costs only the frames that are missing.",
        ("nightreel", "render"),
    ),
    Deployment(
        "rerun-frames",
        "flows.rerun_frames.rerun_frames",
        "Render some frames of one video again, and publish the video with them.",
        ("nightreel", "re-run"),
        queue="urgent",
    ),
    Deployment(
        NIGHTLY,
        "flows.nightly.nightly",
        "Render the manifest of the night. `{date}` in the manifest's and the output's address becomes the night's "
        "date. The schedule is off until somebody switches it on: here, after Edit has set both addresses, or by "
        "`nightreel up --nightly MANIFEST --output OUTPUT`, which does both.",
        ("nightreel", "nightly"),
        tuple(_NIGHT.parameters.items()),
        _NIGHT.schedule,
        queue="bulk",
    ),
    Deployment(
        "finetune",
        "flows.finetune.finetune",
        "Fine-tune a model's VQGAN on pictures of your own, and register it by name. Pictures and folder are paths on "
        "the machines that train. A Retry goes on from the last checkpoint.",
        ("nightreel", "finetune"),
        queue="bulk",
    ),
)

NAMES = tuple(deployment.name for deployment in DEPLOYMENTS)
