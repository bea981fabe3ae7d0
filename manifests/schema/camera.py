"""The camera's columns: what its axes are, how far each may go from one frame to the next, and what its border shows.

What they come to as a homography: renderers/frame_plan/camera.py.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from manifests.schema.base import Settings
from manifests.schema.keyframe_text import KeyframeText
from manifests.schema.neutral import Neutral

__all__ = [
    "CAMERA_LIMITS", "Border", "Centre", "CentreDown", "DepthSettings", "Dolly", "FieldOfView", "Pan", "PlaneX",
    "PlaneY", "ShearX", "ShearY", "Tilt", "ZoomX", "ZoomY",
]  # fmt: skip

# What a camera may do from one frame to the next; beyond it the next frame has nothing in common with this one.
CAMERA_LIMITS = {
    "zoom": (0.01, 100.0),
    "angle": (-360.0, 360.0),
    "translate_x": (-4096.0, 4096.0),
    "translate_y": (-4096.0, 4096.0),
    "zoom_x": (0.01, 100.0),
    "zoom_y": (0.01, 100.0),
    "shear_x": (-60.0, 60.0),
    "shear_y": (-60.0, 60.0),
    "centre_x": (-10.0, 10.0),
    "centre_y": (-10.0, 10.0),
    "pan": (-45.0, 45.0),
    "tilt": (-45.0, 45.0),
    "field_of_view": (10.0, 150.0),
    "plane_x": (-80.0, 80.0),
    "plane_y": (-80.0, 80.0),
    "dolly": (-4096.0, 4096.0),
}

ZoomX = Annotated[
    KeyframeText, Neutral(1.0, in_time=True), Field(description="Camera: factor of the width, beside zoom.")
]
ZoomY = Annotated[
    KeyframeText, Neutral(1.0, in_time=True), Field(description="Camera: factor of the height, beside zoom.")
]
ShearX = Annotated[
    KeyframeText,
    Neutral(0.0, in_time=True),
    Field(description="Camera: degrees per frame by which upright lines lean over to the right, -60 to 60."),
]
ShearY = Annotated[
    KeyframeText,
    Neutral(0.0, in_time=True),
    Field(description="Camera: degrees per frame by which level lines rise to the right, -60 to 60."),
]
Centre = Annotated[
    KeyframeText,
    Neutral(0.5, in_time=True),
    Field(description="Camera: what zoom, angle and shear leave where it is, as a share of the width from the left."),
]
CentreDown = Annotated[
    KeyframeText,
    Neutral(0.5, in_time=True),
    Field(description="Camera: the same, as a share of the height from the top."),
]
Pan = Annotated[
    KeyframeText,
    Neutral(0.0, in_time=True),
    Field(description="Camera: degrees per frame that it turns to the right, -45 to 45."),
]
Tilt = Annotated[
    KeyframeText,
    Neutral(0.0, in_time=True),
    Field(description="Camera: degrees per frame that it turns up, -45 to 45."),
]
FieldOfView = Annotated[
    KeyframeText,
    Neutral(60.0, in_time=True),
    Field(description="Camera: degrees that it sees from top to bottom, for pan, tilt, plane and dolly; 10 to 150."),
]
PlaneX = Annotated[
    KeyframeText,
    Neutral(0.0, in_time=True),
    Field(description="Camera: degrees per frame that the picture tips, its upper edge away; -80 to 80."),
]
PlaneY = Annotated[
    KeyframeText,
    Neutral(0.0, in_time=True),
    Field(description="Camera: degrees per frame that the picture tips, its right edge away; -80 to 80."),
]
Dolly = Annotated[
    KeyframeText,
    Neutral(0.0, in_time=True),
    Field(
        description="Camera: pixels per frame that it goes towards the picture, which is height / 2 / "
        "tan(field_of_view / 2) away, and then again as far."
    ),
]
Border = Annotated[
    Literal["reflect", "replicate", "wrap", "black", "paint"],
    Neutral("reflect", in_time=True),
    Field(
        description="Camera: what comes into view beyond the picture: its reflection, its edge drawn out, its other "
        "side, black, or ground of chance for something new to grow on."
    ),
]


class DepthSettings(Settings):
    """How far away is what the picture shows, for the camera's moves."""

    shape: Annotated[Literal["plane", "tunnel", "floor", "sphere", "model"], Neutral("plane", in_time=True)] = Field(
        "plane",
        description="Among what translate and dolly move: one plane, as far away everywhere; a tunnel; a floor below a "
        "horizon; the inside of a ball; or what the depth model of the row's model finds in each picture. Of these the "
        "near passes by faster; such videos are chains.",
    )
