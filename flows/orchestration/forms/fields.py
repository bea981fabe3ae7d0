"""The parameters of the flows, each described once: its type, its bounds, and what it means.

A flow's signature and the command that runs it take their parameters from here. Prefect's form
(flows/orchestration/forms/descriptions.py) and the command's help and checks (flows/cli/options.py) derive from it. A
parameter that one flow alone has may stand in its signature. No Prefect here: commands import it.

One that may be left unset says how its field looks in the form: `MayBeEmpty`.
"""

# No `from __future__ import annotations` here: these are types that travel to a served flow's process by value.
from typing import Annotated

from pydantic import AfterValidator, Field

from flows.orchestration.forms.addresses import ADDRESS, without_secrets_only
from flows.orchestration.forms.empty_fields import MayBeEmpty
from flows.planning.retakes import FRAMES
from flows.planning.retakes import After as AfterFrames
from manifests.schema.row import VIDEO_ID_PATTERN

# --- rendering --------------------------------------------------------------------------------------------------------

Address = Annotated[
    str, Field(min_length=1, json_schema_extra={"pattern": ADDRESS}), AfterValidator(without_secrets_only)
]
Manifest = Annotated[Address, Field(description="Parquet file, folder or glob; a path or any URI that fsspec knows")]
Output = Annotated[Address, Field(description="where frames and videos go; a path or any URI that fsspec knows")]
Strict = Annotated[bool, Field(description="render nothing if any row is bad")]
Force = Annotated[bool, Field(description="replace videos that were rendered from other settings")]
RangeFrames = Annotated[
    int | None,
    Field(description="frames per segment; unset: by estimated seconds", ge=1),
    MayBeEmpty({"type": "integer", "minimum": 1}),
]
Priority = Annotated[
    int,
    Field(
        description="a run of higher priority gets its actors first on a cluster that several runs share",
        ge=-100,
        le=100,
    ),
]

VideosPerRun = Annotated[
    int | None,
    Field(
        description="a manifest of more videos becomes several runs of at most so many each, begun by this one, which "
        "says in the end how all of it went; unset: NIGHTREEL_VIDEOS_PER_RUN",
        ge=1,
    ),
    MayBeEmpty({"type": "integer", "minimum": 1}),
]
PartNumber = Annotated[
    int | None,
    Field(
        description="set by the run that began this one: which part of the manifest it renders, from 1 on; leave empty",
        ge=1,
    ),
    MayBeEmpty({"type": "integer", "minimum": 1}),
]

# --- frames of one video again ----------------------------------------------------------------------------------------

RenderedOutput = Annotated[
    Address, Field(description="the output that the video was rendered to; a path or any URI that fsspec knows")
]
# the pattern for the form alone: what else is typed there lies in Prefect's tables, whatever a run says of it
Video = Annotated[
    str, Field(description="the video's id", min_length=1, json_schema_extra={"pattern": VIDEO_ID_PATTERN})
]
Frames = Annotated[
    str,
    Field(
        description="failed, missing, all, or numbers from 0 on: 120-180,200, or 0-100x10 for every tenth",
        pattern=FRAMES,
    ),
]
After = Annotated[
    AfterFrames,
    Field(
        description="what becomes of frames that start from the re-run ones: re-render them, keep them as they are, or "
        "re-render until they no longer differ (until-same)"
    ),
]
OtherSeed = Annotated[
    int | None,
    Field(
        description="another seed gives other pictures; unset: the same once more; the row's own takes re-runs back",
        ge=0,
        lt=2**63,
    ),
    MayBeEmpty({"type": "integer", "minimum": 0, "exclusiveMaximum": 2**63}),
]
DryRun = Annotated[bool, Field(description="only say what would be rendered")]

# --- a night ----------------------------------------------------------------------------------------------------------

NightManifest = Annotated[
    Address,
    Field(
        description="which manifest; {date} stands for the night, as in s3://bucket/manifests/{date}.parquet or "
        "{date:%Y/%m/%d}",
    ),
]
NightOutput = Annotated[
    Address, Field(description="where frames and videos go, with {date} likewise: s3://bucket/nights/{date}")
]
NightDate = Annotated[
    str | None,
    Field(description="the night, such as 2026-11-23; unset: the day that the run was scheduled for"),
    MayBeEmpty({"type": "string"}),
]
TimeZone = Annotated[str, Field(description="the time zone of that day, such as Europe/Berlin", min_length=1)]

# --- fine-tuning ------------------------------------------------------------------------------------------------------

IMAGES = "folders with pictures (searched to the bottom), or pictures: PNG, JPEG, WebP, GIF"
Images = Annotated[list[str], Field(description=IMAGES, min_length=1)]
ModelFolder = Annotated[
    Address, Field(description="folder for the model and its training; a training that is there goes on")
]
BaseName = Annotated[str, Field(description="model of the registry to start from", min_length=1)]
ModelName = Annotated[str, Field(description="what the model is called; unset: as the folder")]
Steps = Annotated[
    int | None,
    Field(description="steps of training; unset: 500", ge=1, le=100_000_000),
    MayBeEmpty({"type": "integer", "minimum": 1, "maximum": 100_000_000}),
]
Batch = Annotated[
    int | None,
    Field(description="pictures per step and worker; unset: 4", ge=1, le=4096),
    MayBeEmpty({"type": "integer", "minimum": 1, "maximum": 4096}),
]
LearningRate = Annotated[
    float | None,
    Field(description="learning rate; unset: by the model's width", gt=0, le=1),
    MayBeEmpty({"type": "number", "exclusiveMinimum": 0, "maximum": 1}),
]
Side = Annotated[
    int | None,
    Field(description="pixels of a training picture, each way; unset: the model's", ge=8, le=2048),
    MayBeEmpty({"type": "integer", "minimum": 8, "maximum": 2048}),
]
CropSeed = Annotated[
    int | None,
    Field(description="decides which crops are seen when; unset: 0", ge=0, lt=2**63),
    MayBeEmpty({"type": "integer", "minimum": 0, "exclusiveMaximum": 2**63}),
]
Mirror = Annotated[
    bool | None,
    Field(description="mirror pictures now and then; unset: yes"),
    MayBeEmpty({"type": "boolean"}),
]
Calm = Annotated[
    float | None,
    Field(
        description="weight of the model's own pictures being read as what they were drawn from, so that its videos "
        "flicker less, at some cost of sharpness; 0.3 is a beginning; unset: 0",
        ge=0,
        le=1000,
    ),
    MayBeEmpty({"type": "number", "minimum": 0, "maximum": 1000}),
]
Workers = Annotated[
    int | None,
    Field(description="workers that train together; unset: one per GPU of its share", ge=1, le=10_000),
    MayBeEmpty({"type": "integer", "minimum": 1, "maximum": 10_000}),
]
ReplaceModel = Annotated[bool, Field(description="take the name even if another model of yours has it")]
