"""A folder of pictures as a source of training pictures: random crops, addressed, with few pictures in memory."""

from __future__ import annotations

import math
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from renderers.errors import BadInput, TrainingBroken
from renderers.randomness import generator
from renderers.training.picture_files import PictureFiles, read_picture

__all__ = ["PictureFolder"]

# A crop shows at least this share of a picture's shorter side; a picture is kept just large enough for that.
SMALLEST_CROP = 0.5


class PictureFolder:
    """Pictures `(n, 3, side, side)` from `files`, a `PictureSource`.

    Which picture and which crop is a function of (seed, step, worker): a resumed training sees what it would have
    seen. Decoded pictures are kept up to `cache_bytes`, those used last.
    """

    def __init__(self, files: PictureFiles, side: int, *, mirror: bool = True, cache_bytes: int = 256 * 2**20) -> None:
        self.files, self.side, self.mirror = files, side, mirror
        self._cache: OrderedDict[Path, NDArray[np.uint8]] = OrderedDict()
        self._cache_bytes, self._held = cache_bytes, 0
        self.unreadable: dict[Path, str] = {}

    def batch(self, n: int, seed: int, step: int, worker: int) -> Tensor:
        """`n` random crops `(n, 3, side, side)` in [0, 1] for one step of one worker; none twice if `n` are there.

        Raises:
            TrainingBroken: most pictures can't be read any more.
        """
        chance = generator(seed, worker, step, "pictures")
        paths = self.files.training
        rounds = [torch.randperm(len(paths), generator=chance) for _ in range(math.ceil(n / len(paths)))]
        chosen = torch.cat(rounds)[:n].tolist()
        numbers = torch.rand(n, 5, generator=chance).tolist()
        return torch.stack([self._crop(which, *draw) for which, draw in zip(chosen, numbers, strict=True)])

    def held_out(self) -> Tensor:
        """The held-out pictures, whole but for what a square leaves over, `(m, 3, side, side)` in [0, 1].

        Raises:
            BadInput: one of them can't be read any more: another set would not compare.
        """
        pictures = [read_picture(path, shortest=self.side) for path in self.files.held_out]
        return torch.stack([_tensor(_middle(picture, self.side)) for picture in pictures])

    def _crop(self, which: int, size: float, stretch: float, left: float, top: float, mirrored: float) -> Tensor:
        picture = self._training_picture(which)
        high, wide = picture.shape[:2]
        longest = min(high, wide) * (SMALLEST_CROP + (1 - SMALLEST_CROP) * size)
        ratio = math.exp((stretch - 0.5) * 0.3)  # width to height, 0.86 to 1.16
        width, height = longest * min(1.0, ratio), longest * min(1.0, 1 / ratio)
        x, y = left * (wide - width), top * (high - height)
        image = Image.fromarray(picture).resize(
            (self.side, self.side), Image.Resampling.BICUBIC, box=(x, y, x + width, y + height), reducing_gap=None
        )
        tensor = _tensor(np.asarray(image))
        return tensor.flip(2) if self.mirror and mirrored < 0.5 else tensor

    def _training_picture(self, which: int) -> NDArray[np.uint8]:
        """Picture number `which`, or the next one that can be read."""
        paths = self.files.training
        for offset in range(len(paths)):
            picture = self._picture(paths[(which + offset) % len(paths)])
            if picture is not None:
                return picture
            if len(self.unreadable) * 2 > len(paths):
                break
        path, why = next(iter(self.unreadable.items()))
        raise TrainingBroken(f"{len(self.unreadable)} pictures can't be read any more, such as '{path}' ({why})")

    def _picture(self, path: Path) -> NDArray[np.uint8] | None:
        if path in self._cache:
            self._cache.move_to_end(path)
            return self._cache[path]
        if path in self.unreadable:
            return None
        try:
            picture = read_picture(path, shortest=round(self.side / SMALLEST_CROP))
        except BadInput as error:
            self.unreadable[path] = str(error.__cause__ or error)
            return None
        self._cache[path] = picture
        self._held += picture.nbytes
        while self._held > self._cache_bytes and len(self._cache) > 1:
            _, oldest = self._cache.popitem(last=False)
            self._held -= oldest.nbytes
        return picture


def _tensor(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1).float() / 255


def _middle(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The middle square of a picture, `side` pixels each way."""
    high, wide = picture.shape[:2]
    short = min(high, wide)
    x, y = (wide - short) / 2, (high - short) / 2
    box = (x, y, x + short, y + short)
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.LANCZOS, box=box))
