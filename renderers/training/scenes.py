"""Scenes: sprites on backgrounds, composed on the fly, with the words for them.

A scene is decided by its address (seed, step, worker), so a training that resumes after a kill sees the very batches
that it would have seen. Everything is batched: a scene costs one or two milliseconds of one core at 64 px.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from renderers.randomness import address
from renderers.training.backgrounds import backgrounds
from renderers.training.captions import COLOURS, RELATIONS, SHAPES, SceneObject, SceneText, caption, swapped
from renderers.training.concepts import Concept
from renderers.training.painting import COLOUR_NAMES, COLOUR_VALUES, dominant, outlined, shapes, shrink, tint, vary
from renderers.training.sprites import Sprites

__all__ = ["Layer", "SceneComposer", "Scenes"]

# Kinds of scenes and their shares: most show one thing, as most prompts do.
KINDS = {"one": 0.70, "two": 0.12, "count": 0.08, "shape": 0.06, "empty": 0.04}
TINTED = 0.2  # share of single objects painted in another colour than their own
OUTLINED = 0.15  # share of objects redrawn with dark lines, as comics are: no training style has them
SAYS_COLOUR = 0.35  # share of captions that say an object's own colour
SAYS_BACKGROUND = 0.6  # share of captions that say a background's colour
SAYS_POSITION = 0.6  # share of captions of two objects that say how they lie


@dataclass(frozen=True)
class Scenes:
    """`n` scenes: `pictures` `(n, 3, side, side)` in [0, 1], what they show, a true and a false caption each, and
    `concepts` `(n,)`: the index of the one concept shown, -1 where there is none or more than one."""

    pictures: Tensor
    texts: tuple[SceneText, ...]
    captions: tuple[str, ...]
    false_captions: tuple[str, ...]
    concepts: Tensor


@dataclass
class Layer:
    """One object to paint: which scene, which sprite (below 0: shape -1 - i), where, how large, which colour; by how
    many degrees it may lean, and whether dark lines are drawn (None: by chance)."""

    scene: int
    sprite: int
    x: float
    y: float
    size: float
    colour: int = -1
    lean: float = 16.0
    inked: bool | None = None
    silhouette: bool = False


class SceneComposer:
    """Composes scenes of `side` x `side` pixels from `sprites`; captions know those that have a concept."""

    SHARES: ClassVar[Mapping[str, float]] = KINDS
    NATURAL = False  # whether captions may be in the words of people
    SIZES: tuple[float, ...] = (1.0, 0.75)  # shares of the side that sprites are kept at, besides as they are

    def __init__(self, sprites: Sprites, concepts: tuple[Concept, ...], *, side: int = 64) -> None:
        self.side, self.concepts = side, concepts
        self.names = tuple(concept.name for concept in concepts)
        index = {name: i for i, name in enumerate(self.names)}
        pixels = torch.from_numpy(sprites.pixels).permute(0, 3, 1, 2)
        # the same at smaller sizes, box filtered: each object is drawn from the next larger one, so that thin lines
        # don't alias.
        self._levels = [pixels, *(shrink(pixels, round(side * share)) for share in self.SIZES)]
        self._of_concept: dict[int, list[int]] = {}
        for i, name in enumerate(sprites.concept):
            if name in index:
                self._of_concept.setdefault(index[name], []).append(i)
        self._known = sorted(self._of_concept)
        if not self._known:
            raise ValueError("none of the sprites shows a concept: captions need some that do")
        self._anything = np.arange(len(sprites))
        self._own_colour = {i: dominant(pixels[i]) for own in self._of_concept.values() for i in own}
        self._shapes = shapes(pixels.shape[-1])

    def compose(
        self,
        n: int,
        seed: int,
        step: int,
        purpose: str = "scenes",
        *,
        kind: str | None = None,
        any_sprite: bool = False,
    ) -> Scenes:
        """Compose `n` scenes at the address (`seed`, `step`, `purpose`), all of one `kind` if given.

        `any_sprite` also draws from sprites without a concept; their captions are not to be used.
        """
        rng = np.random.default_rng(address(seed, 0, step, purpose))
        pictures, grounds = backgrounds(n, self.side, rng)
        layers: list[Layer] = []
        texts: list[SceneText] = []
        shown = torch.full((n,), -1)
        kinds, shares = list(self.SHARES), list(self.SHARES.values())
        for i in range(n):
            which = kind or kinds[rng.choice(len(kinds), p=shares)]
            text, shown[i] = self._decide(i, which, grounds[i], pictures, layers, rng, any_sprite=any_sprite)
            texts.append(text)
        self._paint(pictures, layers, rng)
        self._finish(pictures, texts, rng)
        said = tuple(caption(text, rng, natural=self.NATURAL) for text in texts)
        # the false one in the same words as the true one but for what is wrong would need the same template; plain
        # words will do, since the perceptor sees both kinds of both.
        false = tuple(caption(self._made_wrong(text, rng), rng, natural=self.NATURAL) for text in texts)
        return Scenes(pictures.clamp_(0, 1), tuple(texts), said, false, shown)

    def _made_wrong(self, text: SceneText, rng: np.random.Generator) -> SceneText:
        """What a false caption says."""
        return swapped(text, self.names, rng)

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
        """Decide scene `i` of the kind `which`, on a background of the colour `ground`; gives its text and single
        concept."""
        objects, relation, concept = self._scene(i, which, layers, rng, any_sprite=any_sprite)
        return SceneText(tuple(objects), relation, self._ground(which, ground, pictures[i], rng)), concept

    def _ground(self, which: str, ground: str | None, picture: Tensor, rng: np.random.Generator) -> str | None:
        """The colour word of a background that the caption says, None where it is to say none. What is empty has one:
        such a `picture` without one is painted."""
        if which != "empty":
            return ground if self._says_background(ground, rng) else None
        if ground is None:
            ground = COLOUR_NAMES[int(rng.integers(len(COLOUR_NAMES)))]
            picture[:] = COLOUR_VALUES[COLOUR_NAMES.index(ground)].view(3, 1, 1)
        return ground

    def _says_background(self, ground: str | None, rng: np.random.Generator) -> bool:
        return ground is not None and rng.random() <= SAYS_BACKGROUND

    def _finish(self, pictures: Tensor, texts: list[SceneText], rng: np.random.Generator) -> None:
        """Change painted pictures as a whole, in place."""

    def _scene(
        self, scene: int, kind: str, layers: list[Layer], rng: np.random.Generator, *, any_sprite: bool
    ) -> tuple[list[SceneObject], str | None, int]:
        """Decide one scene: its layers are appended to `layers`; gives its objects, relation and single concept."""

        def near(x: float, y: float, spread: float) -> tuple[float, float]:
            return x + float(rng.uniform(-spread, spread)), y + float(rng.uniform(-spread, spread))

        if kind == "empty":
            return [], None, -1
        if kind == "shape":
            shape, colour = int(rng.integers(len(SHAPES))), int(rng.integers(len(COLOURS)))
            layers.append(Layer(scene, -1 - shape, *near(0, 0, 0.2), float(rng.uniform(0.6, 1.0)), colour))
            return [SceneObject(SHAPES[shape], COLOUR_NAMES[colour])], None, -1
        if kind == "one":
            concept, sprite = self._pick(rng, any_sprite)
            colour = int(rng.integers(len(COLOURS))) if rng.random() < TINTED and self._paintable(concept) else -1
            layers.append(Layer(scene, sprite, *near(0, 0, 0.2), float(rng.uniform(0.68, 1.05)), colour))
            return [self._named(concept, sprite, colour, rng)], None, concept
        if kind == "count":
            concept, sprite = self._pick(rng, any_sprite)
            count = int(rng.integers(2, 5))
            places = _PLACES[count][int(rng.integers(len(_PLACES[count])))]
            for x, y in places:
                layers.append(Layer(scene, sprite, *near(x, y, 0.06), float(rng.uniform(0.42, 0.5))))
            return [SceneObject(self._name(concept, rng), count=count)], None, -1
        (first, one), (second, two) = self._pick(rng, any_sprite), self._pick(rng, any_sprite)
        relation = list(RELATIONS)[int(rng.integers(len(RELATIONS)))]
        x, y = _DIRECTION[relation]
        layers.append(Layer(scene, one, *near(x, y, 0.08), float(rng.uniform(0.44, 0.56))))
        layers.append(Layer(scene, two, *near(-x, -y, 0.08), float(rng.uniform(0.44, 0.56))))
        said = relation if rng.random() < SAYS_POSITION and first != second else None
        return [self._named(first, one, -1, rng), self._named(second, two, -1, rng)], said, -1

    def _pick(self, rng: np.random.Generator, any_sprite: bool) -> tuple[int, int]:
        """A concept (-1: none) and one of its sprites."""
        if any_sprite:
            return -1, int(rng.choice(self._anything))
        concept = self._known[int(rng.integers(len(self._known)))]
        own = self._of_concept[concept]
        return concept, own[int(rng.integers(len(own)))]

    def _paintable(self, concept: int) -> bool:
        """Whether a concept (-1: none) may be shown in any colour."""
        return True

    def _name(self, concept: int, rng: np.random.Generator) -> str:
        if concept < 0:
            return "thing"
        names = self.concepts[concept].names
        return names[0] if rng.random() < 0.6 else names[int(rng.integers(len(names)))]

    def _named(self, concept: int, sprite: int, colour: int, rng: np.random.Generator) -> SceneObject:
        if colour >= 0:
            said: str | None = COLOUR_NAMES[colour]
        else:
            said = self._own_colour.get(sprite) if rng.random() < SAYS_COLOUR else None
        return SceneObject(self._name(concept, rng), said)

    def _paint(self, pictures: Tensor, layers: list[Layer], rng: np.random.Generator) -> None:
        """Lay the layers on the pictures, in place; the k-th layers of all scenes go in one resampling."""
        depth: dict[int, int] = {}
        passes: list[list[Layer]] = []
        for layer in layers:
            level = depth.get(layer.scene, 0)
            depth[layer.scene] = level + 1
            if level == len(passes):
                passes.append([])
            passes[level].append(layer)
        for group in passes:
            for level, library in enumerate(self._levels):
                part = [layer for layer in group if self._level(layer.size) == level]
                if part:
                    self._paint_once(pictures, part, library, rng)

    def _level(self, size: float) -> int:
        """Which level an object of `size` (a share of the picture's side) is drawn from: the smallest not below it."""
        fitting = [i for i, level in enumerate(self._levels) if level.shape[-1] >= size * self.side]
        return fitting[-1] if fitting else 0

    def _paint_once(self, pictures: Tensor, layers: list[Layer], library: Tensor, rng: np.random.Generator) -> None:
        n = len(layers)
        sprites = torch.empty(n, 4, *library.shape[-2:])
        for k, layer in enumerate(layers):
            sprites[k] = library[layer.sprite].float() / 255 if layer.sprite >= 0 else self._shape(layer, library)
        sprites[:, :3] *= sprites[:, 3:]
        sprites = vary(sprites, rng)
        lines = rng.random(n) < OUTLINED
        inked = np.flatnonzero(
            [line if layer.inked is None else layer.inked for layer, line in zip(layers, lines, strict=True)]
        )
        if len(inked):
            sprites[inked] = outlined(sprites[inked], rng)
        tinted = [k for k, layer in enumerate(layers) if layer.colour >= 0 and layer.sprite >= 0]
        if tinted:
            sprites[tinted] = tint(sprites[tinted], COLOUR_VALUES[[layers[k].colour for k in tinted]])
        dark = [k for k, layer in enumerate(layers) if layer.silhouette]
        sprites[dark, :3] = sprites[dark, 3:] * 0.04
        lean = np.array([layer.lean for layer in layers])
        turn = torch.from_numpy(rng.uniform(-1, 1, n) * lean).float() * (math.pi / 180)
        flip = torch.from_numpy(np.where(rng.random(n) < 0.5, -1.0, 1.0)).float()
        size = torch.tensor([layer.size for layer in layers])
        centre = torch.tensor([[layer.x, layer.y] for layer in layers])
        matrix = torch.zeros(n, 2, 3)
        cos, sin = turn.cos() / size, turn.sin() / size
        matrix[:, 0, 0], matrix[:, 0, 1] = cos * flip, sin * flip
        matrix[:, 1, 0], matrix[:, 1, 1] = -sin, cos
        matrix[:, :, 2] = -(matrix[:, :, :2] @ centre[:, :, None])[..., 0]
        grid = F.affine_grid(matrix, [n, 4, self.side, self.side], align_corners=False)
        painted = F.grid_sample(sprites, grid, align_corners=False)
        scenes = [layer.scene for layer in layers]
        pictures[scenes] = pictures[scenes] * (1 - painted[:, 3:]) + painted[:, :3]

    def _shape(self, layer: Layer, library: Tensor) -> Tensor:
        mask = self._shapes[-1 - layer.sprite]
        mask = F.interpolate(mask[None, None], size=library.shape[-2:], mode="area")[0]
        return torch.cat([COLOUR_VALUES[layer.colour].view(3, 1, 1).expand(3, *library.shape[-2:]), mask])


_DIRECTION = {"left of": (-0.48, 0.0), "right of": (0.48, 0.0), "above": (0.0, -0.48), "below": (0.0, 0.48)}
_PLACES = {
    2: (((-0.48, 0.0), (0.48, 0.0)), ((0.0, -0.48), (0.0, 0.48))),
    3: (((-0.5, 0.45), (0.5, 0.45), (0.0, -0.45)), ((-0.5, -0.45), (0.5, -0.45), (0.0, 0.45))),
    4: (((-0.48, -0.48), (0.48, -0.48), (-0.48, 0.48), (0.48, 0.48)),),
}
