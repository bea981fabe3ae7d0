"""Where, when and how scenes are shown, as data: places and who is at home there, moments, styles, and the words for
them. `landscapes.py` draws the places and moments, `styles.py` the styles."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KINDS_OF_THINGS", "MOMENTS", "PLACES", "STYLES", "Moment", "Place"]

# What a thing is, which decides where it is at home and whether it stands, swims or flies.
KINDS_OF_THINGS = (
    "animal", "sea animal", "bird", "insect", "person", "face", "plant", "food", "building", "vehicle", "boat",
    "aircraft", "sky", "furniture", "sign", "thing",
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """A place, and the words for it."""

    around: tuple[str, ...]
    """after the thing that is there: "in the snow" """
    alone: tuple[str, ...]
    """when nothing else is there: "a snowy landscape" """
    home_of: frozenset[str]
    """of `KINDS_OF_THINGS`"""
    moments: bool = True
    """whether sunset, night, rain and fog can be seen there"""


LAND = ("animal", "bird", "person", "plant", "building", "vehicle", "thing", "insect", "aircraft", "sky")


def _place(around: tuple[str, ...], alone: tuple[str, ...], *home_of: str, moments: bool = True) -> Place:
    return Place(around, alone, frozenset(home_of), moments)


PLACES: dict[str, Place] = {
    "sky": _place(
        ("in the sky", "in the blue sky", "flying in the sky", "among the clouds", "in the air"),
        ("the sky", "a blue sky with clouds", "clouds in the sky"),
        "bird", "aircraft", "sky", "insect",
    ),
    "sea": _place(
        ("on the sea", "on the ocean", "in the sea", "in the ocean", "on the water", "on the waves"),
        ("the sea", "the ocean", "a seascape", "waves on the ocean"),
        "boat", "sea animal", "bird", "aircraft", "sky",
    ),
    "lake": _place(
        ("by a lake", "at the lake", "beside a river", "near the water"),
        ("a lake", "a lake in the mountains", "a river"),
        "animal", "bird", "person", "building", "plant", "boat", "sky",
    ),
    "beach": _place(
        ("on the beach", "at the beach", "on the sand", "on the shore"),
        ("a beach", "a sandy beach", "the shore", "a beach by the sea"),
        "person", "sea animal", "bird", "thing", "boat", "sky", "aircraft",
    ),
    "snow": _place(
        ("in the snow", "in a snowy landscape", "on the snow", "in winter"),
        ("snow", "a snowy landscape", "a winter landscape", "winter"),
        *LAND,
    ),
    "forest": _place(
        ("in the forest", "in the woods", "among trees", "in a forest"),
        ("a forest", "the woods", "trees", "a forest of green trees"),
        "animal", "bird", "person", "plant", "insect", "building",
    ),
    "field": _place(
        ("in a field", "on the grass", "in a meadow", "on a green hill", "in a park"),
        ("a field", "a meadow", "green hills", "a green landscape", "grass"),
        *LAND,
    ),
    "garden": _place(
        ("in a garden", "among flowers", "in a flower garden"),
        ("a garden", "a flower garden", "a garden with flowers"),
        "animal", "bird", "person", "plant", "insect", "thing",
    ),
    "mountains": _place(
        ("in the mountains", "in front of mountains", "on a mountain"),
        ("mountains", "snowy mountains", "a mountain landscape"),
        *LAND,
    ),
    "desert": _place(
        ("in the desert", "on a sand dune", "in a desert"),
        ("a desert", "the desert", "sand dunes"),
        "animal", "person", "plant", "vehicle", "insect", "sky", "aircraft", "building",
    ),
    "city": _place(
        ("in the city", "in a city", "in town", "in front of buildings", "on the street"),
        ("a city", "a city street", "a skyline", "tall buildings"),
        "person", "vehicle", "animal", "aircraft", "bird", "thing", "sky",
    ),
    "road": _place(
        ("on the road", "on a road", "on the highway", "driving down the road"),
        ("a road", "an empty road", "a highway"),
        "vehicle", "person", "animal",
    ),
    "room": _place(
        ("in a room", "in the living room", "at home", "indoors", "on the floor"),
        ("a room", "an empty room", "a room with a window"),
        "person", "animal", "furniture", "thing", "food", "plant", moments=False,
    ),
    "table": _place(
        ("on a table", "on the table", "on a wooden table"),
        ("a table", "a wooden table", "an empty table"),
        "food", "thing", "plant", moments=False,
    ),
    "underwater": _place(
        ("under water", "underwater", "in deep water", "at the bottom of the sea"),
        ("under water", "an underwater scene", "the bottom of the sea"),
        "sea animal", moments=False,
    ),
    "space": _place(
        ("in space", "in outer space", "among the stars"),
        ("space", "outer space", "stars", "the stars"),
        "aircraft", "sky", moments=False,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Moment:
    """A time of the day or a weather."""

    words: tuple[str, ...]
    share: float
    """of the scenes out of doors, taken together with the others; the rest are in plain daylight"""


MOMENTS: dict[str, Moment] = {
    "sunset": Moment(("at sunset", "at sunset", "at dusk", "in the evening", "at dawn", "under an orange sky"), 0.15),
    "night": Moment(("at night", "at night", "in the moonlight", "under the stars", "in the dark"), 0.15),
    "rain": Moment(("in the rain", "in the rain", "on a rainy day"), 0.06),
    "fog": Moment(("in the fog", "in the fog", "on a foggy day"), 0.05),
    "sunshine": Moment(("on a sunny day", "in the sunshine", "under a bright sun"), 0.08),
}

# Style -> the words around a scene. What the words promise is to be seen: see `styles.py`.
STYLES: dict[str, tuple[str, ...]] = {
    "flat": ("{}, flat", "a flat drawing of {}", "{}, flat design", "a simple flat icon of {}"),
    "outlined": ("{}, outlined", "an outlined drawing of {}", "{} with black outlines", "a comic of {}"),
    "pastel": ("{}, pastel", "{} in pastel colors", "a pastel drawing of {}", "{}, soft pastel colours"),
    "dark": ("{}, dark", "a dark picture of {}", "{} in the shadows", "{} in dim light"),
    "vivid": ("{}, vivid", "{} in bright colors", "a colorful picture of {}", "{}, vibrant colours"),
    "black and white": ("{}, black and white", "a black and white picture of {}", "{} in black and white"),
    "sepia": ("{}, sepia", "an old photo of {}", "a sepia picture of {}", "a vintage picture of {}"),
    "pixel art": ("{}, pixel art", "pixel art of {}", "{} in pixels"),
    "watercolor": ("{}, watercolor", "a watercolor of {}", "a watercolor painting of {}"),
    "sketch": ("{}, sketch", "a pencil sketch of {}", "a pencil drawing of {}", "a line drawing of {}"),
    "neon": ("{}, neon", "a neon sign of {}", "{} in neon lights", "{}, glowing neon"),
    "blurry": ("{}, blurry", "a blurry picture of {}", "{} out of focus"),
    "silhouette": ("{}, silhouette", "the silhouette of {}", "a silhouette of {}"),
}
