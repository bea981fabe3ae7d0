"""A CLIP in the role of judge, as open_clip loads it."""

from __future__ import annotations

import logging
import zlib
from functools import cached_property
from pathlib import Path
from typing import Any

import open_clip
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor

from renderers.errors import ModelFilesBroken

__all__ = ["Perceptor"]


class Perceptor(nn.Module):
    """Embeds texts and pictures, `(n, 3, side, side)` in [0, 1], as unit vectors `(n, d)` in one space."""

    mean: Tensor
    std: Tensor

    # open_clip's classes share an interface but no base class, hence Any.
    def __init__(self, clip: Any, tokenizer: Any, templates: tuple[str, ...] = ("{}",)) -> None:
        super().__init__()
        self.clip: Any = clip
        self.tokenizer, self.templates = tokenizer, templates
        preprocess = clip.visual.preprocess_cfg
        size = clip.visual.image_size
        self.side: int = size if isinstance(size, int) else size[0]
        self.register_buffer("mean", torch.tensor(preprocess["mean"]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(preprocess["std"]).view(1, 3, 1, 1))

    @classmethod
    def load(cls, folder: Path, *, merges: str | None = None, templates: tuple[str, ...] = ("{}",)) -> Perceptor:
        """A perceptor from a folder with `open_clip_config.json` and weights, in float32, frozen, in eval mode.

        Raises:
            ModelFilesBroken: a file is missing or damaged.
        """
        quiet = logging.getLogger()
        level = quiet.level
        quiet.setLevel(logging.WARNING)  # open_clip reports every step of loading on the root logger
        try:
            name = f"local-dir:{folder}"
            clip = open_clip.create_model(name, require_pretrained=True)
            tokenizer = open_clip.get_tokenizer(name, **({"bpe_path": str(folder / merges)} if merges else {}))
        except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            what = f"it lacks {error}" if isinstance(error, KeyError) else error
            raise ModelFilesBroken(f"open_clip can't load a model from '{folder}': {what}") from error
        finally:
            quiet.setLevel(level)
        return cls(clip, tokenizer, templates).eval().requires_grad_(False)

    def embed_texts(self, texts: list[str]) -> Tensor:
        """Unit vectors `(n, d)` of `texts`, each the mean over the templates (Radford et al. 2021, section 3.1.4)."""
        with torch.no_grad():
            by_template = [
                F.normalize(
                    self.clip.encode_text(self.tokenizer([t.format(text) for text in texts]).to(self.mean.device)),
                    dim=-1,
                )
                for t in self.templates
            ]
            return F.normalize(torch.stack(by_template).sum(dim=0), dim=-1)

    def embed_pictures(self, pictures: Tensor) -> Tensor:
        """Unit vectors `(n, d)` of pictures `(n, 3, side, side)`, normalised as this CLIP was trained."""
        return F.normalize(self.clip.encode_image((pictures - self.mean) / self.std), dim=-1)

    @cached_property
    def dimensions(self) -> int:
        """Length of an embedding."""
        return int(self.embed_texts([""]).shape[1])
