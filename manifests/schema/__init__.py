"""What a manifest row is: the one part of `manifests` that renderers and infra may import."""

from manifests.schema.addresses import Address, addresses_of, with_addresses
from manifests.schema.arrow import arrow_schema, row_to_arrow, rows_to_table
from manifests.schema.base import SettingsError
from manifests.schema.expressions import KeyframeError
from manifests.schema.files import NamedFile
from manifests.schema.frames import FrameRangeError, brief_frames, format_frames, parse_frames
from manifests.schema.hold import HoldSettings
from manifests.schema.keyframes import Keyframes
from manifests.schema.prompts import format_prompts, parse_prompts, shown_prompts
from manifests.schema.renew import RenewSettings
from manifests.schema.row import ManifestRow, may_be_video
from manifests.schema.scenes import AnyPrompt, ImagePrompt, NoisePrompt, Prompt, PromptError, Scene
from manifests.schema.schedules import schedules
from manifests.schema.settings import AxisValue, CutoutSettings, LossSettings, OptimiserSettings, WarmSettings
from manifests.schema.source import SourceSettings

__all__ = [
    "Address",
    "AnyPrompt",
    "AxisValue",
    "CutoutSettings",
    "FrameRangeError",
    "HoldSettings",
    "ImagePrompt",
    "KeyframeError",
    "Keyframes",
    "LossSettings",
    "ManifestRow",
    "NamedFile",
    "NoisePrompt",
    "OptimiserSettings",
    "Prompt",
    "PromptError",
    "RenewSettings",
    "Scene",
    "SettingsError",
    "SourceSettings",
    "WarmSettings",
    "addresses_of",
    "arrow_schema",
    "brief_frames",
    "format_frames",
    "format_prompts",
    "may_be_video",
    "parse_frames",
    "parse_prompts",
    "row_to_arrow",
    "rows_to_table",
    "schedules",
    "shown_prompts",
    "with_addresses",
]
