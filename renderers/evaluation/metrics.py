"""What a pair can do before a single picture is rendered: reconstruct, retrieve, and tell one wrong word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from renderers.models import VQGAN, Models, Perceptor, decode_tokens
from renderers.randomness import address
from renderers.training.captions import caption, swapped
from renderers.training.concepts import load_concepts
from renderers.training.scenes import SceneComposer, Scenes
from renderers.training.sprites import STYLES, Sprites
from renderers.training.vqgan_training import redrawn_figures

__all__ = ["PairMetrics", "Retrieval", "Swap", "measure_pair"]

# Scenes are decided by their address, and no training comes this far: its steps count from 0.
STEP = 2**40
GALLERY = 100
AGAIN = 64  # pictures that are encoded once more
HELD_OUT = "openmoji"
SWAPS = {"colour": "one", "count": "count", "position": "two", "background": "one"}


@dataclass(frozen=True)
class Retrieval:
    """The right text among `choices`, for each of `pictures`: shares found at the first place, and among five."""

    top1: float
    top5: float
    pictures: int
    choices: int


@dataclass(frozen=True)
class Swap:
    """How often the true caption is nearer than one with one word wrong (chance: half), over `pairs`."""

    right: float
    pairs: int


@dataclass(frozen=True)
class PairMetrics:
    """Everything that is measured on compositions of sprites, by style: 'training' or the held-out one."""

    psnr: dict[str, float]
    """dB, mean over pictures of each one's own"""
    codes_used: float
    """share of the codebook that the held-out style's pictures use"""
    codes_seen_in: int
    """pictures that `codes_used` was counted over"""
    redrawn: dict[str, float]
    """levels of 255 by which a picture that the VQGAN drew changes when it is encoded and drawn again: as it is
    (`still`), and moved as a camera moves it (`moved`), which is what a video flickers by before any step"""
    names: dict[str, Retrieval]
    """which concept is shown: all that the model lists to choose from"""
    captions: dict[str, Retrieval]
    """which caption is a composition's, among a hundred compositions'"""
    swaps: dict[str, dict[str, Swap]]


def measure_pair(
    models: Models, sprites: Sprites, *, pictures: int = 600, on_progress: Callable[[str], None] | None = None
) -> PairMetrics:
    """Measure `models` on fresh compositions of the training styles' sprites and of the held-out style's."""
    tell = on_progress or (lambda _: None)
    listed = set(models.entry.concepts)
    concepts = tuple(c for c in load_concepts() if not listed or c.name in listed)
    side = int(models.entry.defaults.get("width", 256))
    drawn = tuple(style for style, role in STYLES.items() if role == "training" and style != "openclipart")
    composers = {
        "training": SceneComposer(sprites.of_styles(*drawn), concepts, side=side),
        HELD_OUT: SceneComposer(sprites.of_styles(HELD_OUT), concepts, side=side),
    }
    psnr: dict[str, float] = {}
    names: dict[str, Retrieval] = {}
    captions: dict[str, Retrieval] = {}
    swaps: dict[str, dict[str, Swap]] = {}
    codes_used = 0.0
    for style, composer in composers.items():
        tell(f"VQGAN, {style}")
        mixed = _compose(composer, pictures, style)
        decibels, used = _reconstruction(models.vqgan, mixed.pictures)
        psnr[style], codes_used = decibels, used  # the held-out style comes last
        tell(f"retrieval, {style}")
        single = _compose(composer, pictures, style, "one")
        texts = [f"a {concept.name}" for concept in composer.concepts]
        likeness = _likeness(models.perceptors, single.pictures, texts)
        names[style] = _retrieval(likeness, single.concepts)
        groups = [slice(i, i + GALLERY) for i in range(0, pictures - GALLERY + 1, GALLERY)]
        found = [
            _retrieval(
                _likeness(models.perceptors, mixed.pictures[group], list(mixed.captions[group])), torch.arange(GALLERY)
            )
            for group in groups
        ]
        if found:
            captions[style] = Retrieval(
                sum(f.top1 for f in found) / len(found),
                sum(f.top5 for f in found) / len(found),
                GALLERY * len(found),
                GALLERY,
            )
        swaps[style] = {}
        for what, kind in SWAPS.items():
            tell(f"swapped words: {what}, {style}")
            swaps[style][what] = _swap(models.perceptors, composer, what, kind, pictures, style)
    tell("VQGAN, encoded again")
    again = redrawn_figures(models.vqgan, _compose(composers[HELD_OUT], AGAIN, HELD_OUT).pictures)
    return PairMetrics(psnr, codes_used, pictures, again, names, captions, swaps)


def _compose(composer: SceneComposer, count: int, style: str, kind: str | None = None, batch: int = 0) -> Scenes:
    return composer.compose(count, 0, STEP + batch, f"evaluation {style} {kind}", kind=kind)


@torch.no_grad()
def _reconstruction(vqgan: VQGAN, pictures: Tensor) -> tuple[float, float]:
    """PSNR in dB and the share of the codes in use, over `pictures` `(n, 3, h, w)`."""
    decibels, used = [], torch.zeros(len(vqgan.codebook), dtype=torch.bool)
    for some in torch.split(pictures, 32):
        tokens = vqgan.tokenise(vqgan.encode(some))
        seen = decode_tokens(vqgan, tokens)
        error = ((seen - some) ** 2).mean(dim=(1, 2, 3)).clamp(min=1e-10)
        decibels.append(-10 * error.log10())
        used[tokens.flatten()] = True
    return float(torch.cat(decibels).mean()), float(used.float().mean())


@torch.no_grad()
def _likeness(perceptors: tuple[Perceptor, ...], pictures: Tensor, texts: list[str]) -> Tensor:
    """Cosines `(n, m)` of `pictures` `(n, 3, h, w)` and `m` texts, summed over the perceptors."""
    total = torch.zeros(len(pictures), len(texts))
    for perceptor in perceptors:
        words = torch.cat([perceptor.embed_texts(texts[i : i + 256]) for i in range(0, len(texts), 256)])
        seen = torch.cat([perceptor.embed_pictures(_fit(some, perceptor.side)) for some in torch.split(pictures, 64)])
        total += seen @ words.T
    return total


def _fit(pictures: Tensor, side: int) -> Tensor:
    if pictures.shape[-1] == side:
        return pictures
    return torch.nn.functional.interpolate(
        pictures, size=(side, side), mode="bilinear", antialias=True, align_corners=False
    )


def _retrieval(likeness: Tensor, right: Tensor) -> Retrieval:
    """`likeness` `(n, m)`, and the right column of each row `(n,)`."""
    place = (likeness > likeness.gather(1, right[:, None])).sum(dim=1)
    share = [float((place < k).float().mean()) for k in (1, 5)]
    return Retrieval(share[0], share[1], len(likeness), likeness.shape[1])


def _swap(
    perceptors: tuple[Perceptor, ...], composer: SceneComposer, what: str, kind: str, count: int, style: str
) -> Swap:
    """Captions in the plainest words, true and with `what` made wrong; only scenes that say `what` count."""
    rng = np.random.default_rng(address(0, 0, STEP, f"swaps {what} {style}"))
    pictures: list[Tensor] = []
    true: list[str] = []
    false: list[str] = []
    for batch in range(8):
        scenes = composer.compose(count, 0, STEP + batch, f"evaluation swaps {what} {style}", kind=kind)
        for picture, text in zip(scenes.pictures, scenes.texts, strict=True):
            try:
                wrong = swapped(text, composer.names, rng, what=what)
            except ValueError:
                continue  # this scene's caption says nothing of it
            pictures.append(picture)
            true.append(caption(text))
            false.append(caption(wrong))
        if len(pictures) >= count:
            break
    pictures, true, false = pictures[:count], true[:count], false[:count]
    right = 0
    for start in range(0, len(pictures), 100):
        end = min(start + 100, len(pictures))
        likeness = _likeness(perceptors, torch.stack(pictures[start:end]), true[start:end] + false[start:end])
        n = end - start
        right += int((likeness[:, :n].diagonal() > likeness[:, n:].diagonal()).sum())
    return Swap(right / len(pictures), len(pictures))
