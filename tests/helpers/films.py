"""Short films, cut into segments and joined through the real ffmpeg."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infra.video.check import VideoInfo
from infra.video.encoding import FORMATS as TABLE
from infra.video.encoding import Encoding
from infra.video.segments import encode_segment, join_segments

Picture = NDArray[np.uint8]
FORMATS = tuple(TABLE)
COPIED = tuple(name for name, spec in TABLE.items() if spec.join in ("copy", "pictures"))


def film(count: int, width: int = 48, height: int = 32, *, start: int = 0) -> list[Picture]:
    """Moving gradients whose brightness tells the frame number; no two of them are alike."""
    y, x = np.mgrid[:height, :width]
    frames = []
    for t in range(start, start + count):
        planes = (128 + 90 * np.sin((x + 3 * t) / 9), 128 + 90 * np.cos((y - 2 * t) / 7), (x + y + 9 * t) % 256)
        frames.append(np.stack(planes, -1).clip(0, 255).astype(np.uint8))
    return frames


def split(pictures: Sequence[Picture], lengths: Sequence[int]) -> list[list[Picture]]:
    edges = np.cumsum([0, *lengths])
    return [list(pictures[a:b]) for a, b in itertools.pairwise(edges)]


def encoding(format: str, fps: float = 24, upscale: int = 1) -> Encoding:
    return Encoding(format, fps, upscale)  # type: ignore[arg-type]


def write_segments(
    folder: Path, parts: list[list[Picture]], *, format: str, fps: float, upscale: int = 1
) -> list[Path]:
    paths = []
    for number, part in enumerate(parts):
        paths.append(folder / f"it's range {number} 100%.seg")  # names that a listing could trip over
        paths[-1].write_bytes(encode_segment(iter(part), encoding(format, fps, upscale)))
    return paths


def join(paths: list[Path], target: Path, *, format: str, fps: float, frames: int, upscale: int = 1) -> VideoInfo:
    return join_segments(paths, encoding(format, fps, upscale), frames=frames, target=target)
