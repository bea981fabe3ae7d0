"""Scenes as people ask for them: things in places, at a time of the day, in a style; people, faces, and all that has a
name. What `scenes.py` composes, single things on plain grounds, is half of it.

An object stands where its kind stands: feet on the ground, a shadow below; what flies is in the air, what swims in the
water. A quarter of them are away from home, since prompts are ("an elephant in a room").
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from renderers.training.captions import ALL_RELATIONS, SceneObject, SceneText, swapped
from renderers.training.concepts import Concept, load_concepts
from renderers.training.landscapes import Backdrop, draw_place, lay_weather
from renderers.training.painting import COLOUR_NAMES
from renderers.training.scenes import SAYS_BACKGROUND, Layer, SceneComposer
from renderers.training.sprites import Sprites
from renderers.training.styles import WHOLE_PICTURE, restyled
from renderers.training.words_of_scenes import MOMENTS, PLACES, STYLES

__all__ = ["WorldComposer"]

# Kinds of scenes and their shares: the first five on plain grounds, the others in a place.
KINDS = {
    "one": 0.28,
    "two": 0.13,
    "count": 0.07,
    "shape": 0.03,
    "empty": 0.02,
    "place": 0.08,
    "one in place": 0.26,
    "two in place": 0.09,
    "count in place": 0.04,
}
STYLED = 0.2  # share of scenes that show anything in a style that the caption says
AT_HOME = 0.75  # share of objects that are where their kind is at home
TINTED = 0.25  # share of objects in places painted in another colour than their own
FLAT = "twemoji"  # the one set that is drawn without shades
# Styles that leave no colours to speak of.
COLOURLESS = frozenset({"black and white", "sepia", "sketch", "neon", "silhouette"})
# Names are not asked for equally often: of the words that people use most a concept is made by hand (concepts.yaml),
# while emoji have some three hundred people by trade and sex, and a hundred faces.
LISTED, OTHERS, VARIANTS = 3.0, 1.0, 0.4
VARIED = ("person", "face", "sign")
HARD = 0.5  # share of scenes with a position or a count whose false caption has that wrong: what is hardest to see
FLIES = ("aircraft", "sky")
MAY_FLY = ("bird", "insect")
FLOATING = ("sky", "space", "underwater")  # places without a ground to stand on
WATERY = ("sea", "underwater", "space", "sky")  # places where nothing casts a shadow
PAIRS = ("left of", "right of", "next to", "in front of", "behind", "on", "under")


class WorldComposer(SceneComposer):
    """Composes scenes of `side` x `side` pixels from `sprites` whose concepts `named_sprites` has filled in."""

    SHARES = KINDS
    NATURAL = True
    SIZES = (0.75, 0.5, 0.3)  # sprites as they are (144 px) serve for the full side of 128: a third of the memory less

    def __init__(self, sprites: Sprites, concepts: tuple[Concept, ...], *, side: int = 128) -> None:
        super().__init__(sprites, concepts, side=side)
        listed = {concept.name for concept in load_concepts()}
        weights = [self._weight(concepts[i], concepts[i].name in listed) for i in self._known]
        self._share = np.cumsum(weights) / np.sum(weights)
        self._extent = _extents(sprites.pixels)
        self._flat = {
            concept: [i for i in own if sprites.style[i] == FLAT] for concept, own in self._of_concept.items()
        }
        self._concept_of_sprite = {i: concept for concept, own in self._of_concept.items() for i in own}
        self._coloured = {i for i, name in enumerate(self.names) if set(name.split()) & set(COLOUR_NAMES)}
        self._homes = {kind: [n for n, place in PLACES.items() if kind in place.home_of] for kind in _kinds(concepts)}

    @staticmethod
    def _weight(concept: Concept, listed: bool) -> float:
        return LISTED if listed else VARIANTS if concept.kind in VARIED else OTHERS

    def _decide(
        self,
        i: int,
        which: str,
        ground: str | None,
        pictures: Tensor,
        layers: list[Layer],
        rng: np.random.Generator,
        *,
        any_sprite: bool,
    ) -> tuple[SceneText, int]:
        first = len(layers)
        if which == "place" or which.endswith(" in place"):
            text, shown = self._placed(i, which, pictures, layers, rng, any_sprite=any_sprite)
        else:
            text, shown = super()._decide(i, which, ground, pictures, layers, rng, any_sprite=any_sprite)
        if rng.random() < STYLED and which not in ("shape", "empty"):
            text = self._styled(text, layers[first:], rng)
        return text, shown

    def _finish(self, pictures: Tensor, texts: list[SceneText], rng: np.random.Generator) -> None:
        for i, text in enumerate(texts):
            if text.place is not None:
                lay_weather(pictures[i], text.place, text.moment, rng)
            if text.style in WHOLE_PICTURE:
                pictures[i] = restyled(pictures[i].clamp(0, 1), text.style, rng)

    def _made_wrong(self, text: SceneText, rng: np.random.Generator) -> SceneText:
        hard = rng.random() < HARD  # drawn for every scene: all that follows hangs on it
        if hard and text.relation in ALL_RELATIONS:
            return swapped(text, self.names, rng, what="position")
        if hard and any(thing.count > 1 for thing in text.objects):
            return swapped(text, self.names, rng, what="count")
        return super()._made_wrong(text, rng)

    # -- on plain grounds --------------------------------------------------------------------------------------------

    def _says_background(self, ground: str | None, rng: np.random.Generator) -> bool:
        return rng.random() <= SAYS_BACKGROUND  # drawn where there is no word too: all that follows hangs on it

    def _pick(self, rng: np.random.Generator, any_sprite: bool) -> tuple[int, int]:
        if any_sprite:
            return super()._pick(rng, any_sprite)
        concept = self._known[min(int(np.searchsorted(self._share, rng.random())), len(self._known) - 1)]
        own = self._of_concept[concept]
        return concept, own[int(rng.integers(len(own)))]

    def _paintable(self, concept: int) -> bool:
        return concept not in self._coloured  # a green book in orange would be an "orange green book"

    def _tint(self, concept: int, rng: np.random.Generator) -> int:
        """A colour to paint an object of `concept` in, -1 for its own."""
        return int(rng.integers(len(COLOUR_NAMES))) if rng.random() < TINTED and self._paintable(concept) else -1

    def _named(self, concept: int, sprite: int, colour: int, rng: np.random.Generator) -> SceneObject:
        named = super()._named(concept, sprite, colour, rng)
        return replace(named, colour=None) if concept in self._coloured else named

    def _styled(self, text: SceneText, layers: list[Layer], rng: np.random.Generator) -> SceneText:
        """`text` with a style that it may have, and its `layers` painted accordingly."""
        style = list(STYLES)[int(rng.integers(len(STYLES)))]
        objects = text.objects
        if style == "outlined":
            for layer in layers:
                layer.inked = True
        elif style == "silhouette":
            for layer in layers:
                layer.silhouette = True
        elif style == "flat":
            flat = [self._flat.get(self._concept_of_sprite.get(layer.sprite, -1), []) for layer in layers]
            if text.place is not None or not all(flat):
                return text
            for layer, choices in zip(layers, flat, strict=True):
                layer.sprite, layer.inked = choices[int(rng.integers(len(choices)))], False
            # another set may have given it another colour, unless it was painted anyway
            painted = [layer.colour >= 0 for layer in layers]
            objects = tuple(o if p else replace(o, colour=None) for o, p in zip(objects, painted, strict=False))
        if style in ("outlined", "silhouette") and not layers:
            return text
        if style in COLOURLESS:
            return replace(text, objects=tuple(replace(o, colour=None) for o in objects), background=None, style=style)
        return replace(text, objects=objects, style=style)

    # -- in places ---------------------------------------------------------------------------------------------------

    def _placed(
        self, i: int, which: str, pictures: Tensor, layers: list[Layer], rng: np.random.Generator, *, any_sprite: bool
    ) -> tuple[SceneText, int]:
        """Decide scene `i` and draw its place into `pictures`; gives its text and single concept."""
        things = 0 if which == "place" else 2 if which.startswith("two") else 1
        picked = [self._pick(rng, any_sprite) for _ in range(things)]
        kinds = [self.concepts[concept].kind if concept >= 0 else "thing" for concept, _ in picked]
        place = self._place_for(kinds, rng)
        moment = _moment(rng) if PLACES[place].moments else None
        backdrop = draw_place(place, moment, self.side, rng)
        pictures[i] = backdrop.pixels
        if not picked:
            return SceneText((), place=place, moment=moment), -1
        if which.startswith("two"):
            objects, relation = self._two(i, picked, kinds, place, backdrop, layers, rng)
            text = SceneText(objects, relation, place=place, moment=moment)
        elif which.startswith("count"):
            text = SceneText(
                (self._several(i, picked[0], kinds[0], place, backdrop, layers, rng),), place=place, moment=moment
            )
        else:
            concept, sprite = picked[0]
            colour = self._tint(concept, rng)
            size = float(rng.uniform(0.3, 0.55) if kinds[0] == "sky" else rng.uniform(0.45, 0.82))
            x = float(rng.uniform(-1, 1)) * (1 - 0.8 * size)
            layers.append(self._stood(i, sprite, kinds[0], x, size, place, backdrop, rng, colour=colour))
            text = SceneText((self._named(concept, sprite, colour, rng),), place=place, moment=moment)
        if place not in WATERY:
            for layer in layers:
                if layer.scene == i and layer.lean < 8:
                    self._shadow(pictures[i], layer)
        return text, picked[0][0] if which.startswith("one") else -1

    def _place_for(self, kinds: list[str], rng: np.random.Generator) -> str:
        homes = self._homes.get(kinds[0], []) if kinds and rng.random() < AT_HOME else []
        choices = homes or list(PLACES)
        return choices[int(rng.integers(len(choices)))]

    def _stood(
        self,
        scene: int,
        sprite: int,
        kind: str,
        x: float,
        size: float,
        place: str,
        backdrop: Backdrop,
        rng: np.random.Generator,
        *,
        foot: float | None = None,
        colour: int = -1,
    ) -> Layer:
        """One object where its kind may be; with `foot`, a share of the height, it stands there."""
        flies = place in FLOATING or kind in FLIES or (kind in MAY_FLY and rng.random() < 0.5)
        if flies and foot is None:
            return Layer(scene, sprite, x, 2 * float(rng.uniform(*backdrop.air)) - 1, size, colour)
        if foot is None:
            far, near = backdrop.floor
            foot = far + (near - far) * float(rng.beta(2, 1.5))
        bottom = float(self._extent[sprite, 1])
        y = max(2 * foot - 1 - size * (2 * bottom - 1), 0.92 * size - 1)
        return Layer(scene, sprite, x, y, size, colour, lean=4.0)

    def _two(
        self,
        scene: int,
        picked: list[tuple[int, int]],
        kinds: list[str],
        place: str,
        backdrop: Backdrop,
        layers: list[Layer],
        rng: np.random.Generator,
    ) -> tuple[tuple[SceneObject, ...], str | None]:
        """Two objects as a relation has them; gives them and it (None where the caption is not to say it)."""
        relation = PAIRS[int(rng.integers(len(PAIRS)))]
        far, near = backdrop.floor
        foot = far + (near - far) * float(rng.uniform(0.4, 1))
        sprites = [sprite for _, sprite in picked]
        tints = [self._tint(concept, rng) for concept, _ in picked]
        side = 1.0 if rng.random() < 0.5 else -1.0

        def stood(which: int, x: float, size: float, at: float) -> Layer:
            return self._stood(
                scene, sprites[which], kinds[which], x, size, place, backdrop, rng, foot=at, colour=tints[which]
            )

        if relation in ("in front of", "behind"):
            front, back = (0, 1) if relation == "in front of" else (1, 0)
            shifts, larger, smaller = rng.uniform(0.05, 0.35, 2), rng.uniform(0.62, 0.85), rng.uniform(0.38, 0.52)
            layers.append(stood(back, side * float(shifts[0]), float(larger), foot - 0.08))
            layers.append(stood(front, -side * float(shifts[1]), float(smaller), foot + 0.02))
        elif relation in ("on", "under"):
            upper, lower = (0, 1) if relation == "on" else (1, 0)
            x = float(rng.uniform(-0.3, 0.3))
            carrier = stood(lower, x, float(rng.uniform(0.45, 0.58)), max(foot, 0.85))
            head = (carrier.y + carrier.size * (2 * float(self._extent[sprites[lower], 0]) - 1) + 1) / 2
            carried = stood(upper, x, float(rng.uniform(0.3, 0.42)), head + 0.03)
            carried.lean = carrier.lean = 1.0
            layers += [carrier, carried]
        else:
            way = -1.0 if relation == "left of" else 1.0 if relation == "right of" else side
            for which in (0, 1):
                x = way * float(rng.uniform(0.4, 0.52)) * (1 if which == 0 else -1)
                layers.append(stood(which, x, float(rng.uniform(0.4, 0.54)), foot))
        objects = tuple(
            self._named(concept, sprite, tint, rng) for (concept, sprite), tint in zip(picked, tints, strict=True)
        )
        return objects, relation if rng.random() < 0.85 and picked[0][0] != picked[1][0] else None

    def _several(
        self,
        scene: int,
        picked: tuple[int, int],
        kind: str,
        place: str,
        backdrop: Backdrop,
        layers: list[Layer],
        rng: np.random.Generator,
    ) -> SceneObject:
        """Two to four alike, side by side."""
        concept, sprite = picked
        count = int(rng.integers(2, 5))
        size = {2: 0.5, 3: 0.36, 4: 0.27}[count] * float(rng.uniform(0.9, 1.05))
        tint = self._tint(concept, rng)
        far, near = backdrop.floor
        foot = far + (near - far) * float(rng.uniform(0.2, 1))
        flying = place in FLOATING or kind in FLIES
        height = float(rng.uniform(*backdrop.air))
        for k in range(count):
            x = (2 * (k + 0.5) / count - 1) * 0.95 + float(rng.uniform(-0.03, 0.03))
            at = None if flying else foot + float(rng.uniform(-0.02, 0.02))
            layer = self._stood(scene, sprite, kind, x, size, place, backdrop, rng, foot=at, colour=tint)
            if flying:
                layer.y = 2 * height - 1 + float(rng.uniform(-0.1, 0.1))
            layers.append(layer)
        said = COLOUR_NAMES[tint] if tint >= 0 else None
        return SceneObject(self._name(concept, rng), said, count)

    def _shadow(self, picture: Tensor, layer: Layer) -> None:
        """Darken the ground below what stands, in place."""
        axis = torch.linspace(-1, 1, self.side)
        foot = layer.y + layer.size * (2 * float(self._extent[layer.sprite, 1]) - 1)
        across = (axis - layer.x)[None] / (0.72 * layer.size)
        down = (axis - foot)[:, None] / (0.12 * layer.size)
        picture *= 1 - 0.3 * (1 - across**2 - down**2).clamp(0, 1)


def _moment(rng: np.random.Generator) -> str | None:
    at = float(rng.random())
    for name, moment in MOMENTS.items():
        if at < moment.share:
            return name
        at -= moment.share
    return None


def _kinds(concepts: tuple[Concept, ...]) -> set[str]:
    return {concept.kind for concept in concepts}


def _extents(pixels: np.ndarray) -> np.ndarray:
    """First and last row of each sprite `(n, s, s, 4)` that is seen, as shares of its side, `(n, 2)`."""
    extents = np.empty((len(pixels), 2), np.float32)
    side = pixels.shape[1]
    for i, sprite in enumerate(pixels):
        rows = np.flatnonzero((sprite[..., 3] > 127).any(axis=1))
        extents[i] = (rows[0] / side, (rows[-1] + 1) / side) if len(rows) else (0, 1)
    return extents
