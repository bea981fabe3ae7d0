"""A CLIP in the role of judge, as open_clip loads it."""

from __future__ import annotations

import logging
from pathlib import Path

import open_clip
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from renderers.errors import ModelFilesBroken

__all__ = ["Perceptor"]


class Perceptor(nn.Module):
    """Embeds texts and pictures as unit vectors `(n, d)` in one space. Takes pictures `(n, 3, side, side)` in [0, 1]."""

    def __init__(self, clip: nn.Module, tokenizer: object, templates: tuple[str, ...] = ("{}",)) -> None:
        super().__init__()
        self.clip, self.tokenizer, self.templates = clip, tokenizer, templates
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
        except (OSError, ValueError, RuntimeError) as error:
            raise ModelFilesBroken(f"open_clip can't load a model from '{folder}': {error}") from error
        finally:
            quiet.setLevel(level)
        return cls(clip, tokenizer, templates).eval().requires_grad_(False)

    def embed_texts(self, texts: list[str]) -> Tensor:
        """Unit vectors `(n, d)` of `texts`, each the mean over the templates (Radford et al. 2021, section 3.1.4)."""
        device = self.mean.device  # type: ignore[union-attr]
        with torch.no_grad():
            by_template = [
                F.normalize(self.clip.encode_text(self.tokenizer([t.format(text) for text in texts]).to(device)), dim=-1)  # type: ignore[operator]
                for t in self.templates
            ]
            return F.normalize(torch.stack(by_template).sum(dim=0), dim=-1)

    def embed_pictures(self, pictures: Tensor) -> Tensor:
        """Unit vectors `(n, d)` of pictures `(n, 3, side, side)`, normalised as this CLIP was trained."""
        return F.normalize(self.clip.encode_image((pictures - self.mean) / self.std), dim=-1)  # type: ignore[operator]

    @property
    def dimensions(self) -> int:
        """Length of an embedding."""
        return int(self.embed_texts([""]).shape[1])
