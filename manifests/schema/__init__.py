"""What a manifest row is: the one part of `manifests` that renderers and infra may import."""

from manifests.schema.addresses import with_addresses
from manifests.schema.arrow import arrow_schema, row_to_arrow, rows_to_table
from manifests.schema.base import SettingsError
from manifests.schema.expressions import KeyframeError
from manifests.schema.files import NamedFile
from manifests.schema.frames import FrameRangeError, format_frames, join_ranges, parse_frames
from manifests.schema.keyframes import Keyframes
from manifests.schema.prompts import Prompt, PromptError, Scene, format_prompts, parse_prompts
from manifests.schema.row import ManifestRow
from manifests.schema.settings import CutoutSettings, ImagePrompt, LossSettings, NoisePrompt, OptimiserSettings

__all__ = [
    "CutoutSettings",
    "FrameRangeError",
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
    "Scene",
    "SettingsError",
    "arrow_schema",
    "format_frames",
    "format_prompts",
    "join_ranges",
    "parse_frames",
    "parse_prompts",
    "row_to_arrow",
    "rows_to_table",
    "with_addresses",
]
