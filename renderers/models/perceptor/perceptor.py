"""A CLIP in the role of judge: of a kind known here (`plain_clip`), or as open_clip loads it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from renderers.config_file import clipped, read_json_config
from renderers.errors import CheckpointUnsafe, FetchFailed, ModelFilesBroken
from renderers.models.kernels.cuda_graphs import Graphed
from renderers.models.kernels.folding import fold_batch_norms
from renderers.models.perceptor.byte_pair_tokenizer import BytePairTokenizer
from renderers.models.perceptor.folder import CONFIG, WEIGHTS, check_described, check_words
from renderers.models.perceptor.grid_head import cells_of, give_grid_head
from renderers.models.perceptor.plain_clip import PlainCLIP, architecture_config, load_plain, simple_tokenizer_merges
from renderers.models.perceptor.quiet import quiet
from renderers.models.perceptor.towers import is_open_clips, picture_features
from renderers.models.perceptor.word_tokenizer import WordTokenizer
from renderers.registry import PerceptorEntry

__all__ = ["Perceptor"]


@contextmanager
def _loading(what: str) -> Iterator[None]:
    """Have open_clip load quietly, and turn its errors into ours."""
    try:
        with quiet(logging.WARNING):
            yield
    except CheckpointUnsafe:
        raise
    except Exception as error:  # whatever a network does that somebody's config describes: a width may be 0
        reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        raise ModelFilesBroken(f"open_clip can't load {what}: {clipped(reason)}") from error


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
        self._dtype = torch.float32
        self.graphed: Graphed | None = None
        self.weight, self.cutouts = 1.0, 1.0
        """How much its word counts among others', and the share of a step's cutouts that it is shown."""
        self.side: int = size if isinstance(size, int) else size[0]
        self.register_buffer("mean", torch.tensor(preprocess["mean"]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(preprocess["std"]).view(1, 3, 1, 1))

    @classmethod
    def open(cls, entry: PerceptorEntry) -> Perceptor:
        """The perceptor that the registry describes.

        Raises:
            ModelFilesBroken: a file is missing or damaged.
            BadInput: open_clip knows no such architecture or tag.
        """
        cache = entry.cache_path
        if entry.architecture is None:
            return cls.load(entry.path, merges=entry.merges, words=entry.words, templates=entry.templates)
        if entry.pretrained is None:
            return cls.load_architecture(entry.architecture, entry.weights_path, cache=cache, templates=entry.templates)
        from renderers.models.perceptor.open_clip_tags import find_tag  # open_clip takes seconds to import

        tag = find_tag(entry.architecture, entry.pretrained)
        weights = tag.cached(cache)
        if weights is None:
            raise FetchFailed(tag.instructions(cache))
        tag.check(weights)
        return cls.load_architecture(
            entry.architecture, weights, preprocess=tag.preprocess, cache=cache, templates=entry.templates
        )

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        merges: str | None = None,
        words: str | None = None,
        templates: tuple[str, ...] = ("{}",),
    ) -> Perceptor:
        """A perceptor from a folder with `open_clip_config.json` and weights, in float32, frozen, in eval mode.

        `merges` are the byte-pair merges in that folder, `words` the table of one that reads whole words.

        Raises:
            CheckpointUnsafe: its config would have code run. It was not.
            ModelFilesBroken: a file is missing or damaged, or the config describes another network than the weights.
        """
        with _loading(f"a model from '{folder}'"):
            model, cells = check_words(folder), cells_of(folder / CONFIG)
            preprocess = read_json_config(folder / CONFIG).get("preprocess_cfg") or {}
            clip: Any = load_plain(model, folder / WEIGHTS, preprocess, cells=cells)
            if clip is None:
                check_described(folder)
                clip = _open_clips(folder) if cells is None else _ours(folder, cells)
            if words:
                tokenizer: Any = WordTokenizer.read(folder / words, clip.context_length)
                _check_vocabulary(clip, tokenizer)
            elif isinstance(clip, PlainCLIP):
                tokenizer = BytePairTokenizer(
                    folder / merges if merges else simple_tokenizer_merges(), clip.context_length
                )
            else:
                import open_clip  # takes seconds

                given = {"bpe_path": str(folder / merges)} if merges else {}
                tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}", **given)
            return cls(clip, tokenizer, templates).eval().requires_grad_(False)

    @classmethod
    def load_architecture(
        cls,
        architecture: str,
        weights: Path,
        *,
        preprocess: Mapping[str, Any] | None = None,
        cache: Path | None = None,
        templates: tuple[str, ...] = ("{}",),
    ) -> Perceptor:
        """A perceptor of an `architecture` that open_clip knows, with the weights in a file.

        `preprocess` is how its pictures were normalised (unset: as OpenAI's); `cache` holds the tokenizers that some
        architectures fetch.

        Raises:
            ModelFilesBroken: the file is missing or damaged, or does not fit; or the tokenizer can't be had.
        """
        folder = None if cache is None else str(cache)
        with _loading(f"{architecture} with the weights '{weights}'"):
            config = architecture_config(architecture)
            plain = None if config is None else load_plain(config, weights, preprocess or {})
            if plain is not None:
                words = BytePairTokenizer(simple_tokenizer_merges(), plain.context_length)
                return cls(plain, words, templates).eval().requires_grad_(False)
            import open_clip  # takes seconds

            clip = open_clip.create_model(
                architecture,
                pretrained=str(weights),
                weights_only=True,
                require_pretrained=True,
                force_preprocess_cfg=dict(preprocess or {}),
                cache_dir=folder,
            )
            tokenizer = open_clip.get_tokenizer(architecture, cache_dir=folder)
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
        given = ((pictures - self.mean) / self.std).to(self._dtype)
        features = _features(self.clip, given) if self.graphed is None else self.graphed(given)
        # a unit vector's last bits are what distinguishes prompts
        return F.normalize(features.float(), dim=-1)

    def freeze_for_rendering(self, dtype: torch.dtype, *, graphs: bool = False) -> None:
        """Have the picture tower compute in `dtype`, batch norms folded away, as CUDA graphs if `graphs`; texts, read
        once, stay float32."""
        self.graphed = Graphed(partial(_features, self.clip)) if graphs else None
        fold_batch_norms(self.clip.visual)
        self.clip.visual.to(dtype)
        self._dtype = dtype

    @cached_property
    def dimensions(self) -> int:
        """Length of an embedding."""
        return int(self.embed_texts([""]).shape[1])


def _open_clips(folder: Path) -> Any:
    """The CLIP in `folder`, as open_clip loads it."""
    import open_clip  # takes seconds

    return open_clip.create_model(f"local-dir:{folder}", require_pretrained=True)


def _ours(folder: Path, cells: int) -> Any:
    """A CLIP of open_clip's with a head of ours, of so many cells each way, from `folder`."""
    import open_clip  # takes seconds

    # without the warning that there are no weights
    with quiet(logging.ERROR):
        clip = open_clip.create_model(f"local-dir:{folder}", load_weights=False, pretrained_text=False)
    with safe_open(folder / WEIGHTS, framework="pt") as file:
        held = file.get_slice("visual.head.proj.weight").get_shape()
    give_grid_head(clip, cells, held=held)
    clip.load_state_dict(load_file(folder / WEIGHTS))
    return clip


def _check_vocabulary(clip: Any, tokenizer: WordTokenizer) -> None:
    embedded = clip.token_embedding.num_embeddings
    if embedded != tokenizer.end + 1:
        raise ValueError(f"its table of words has {tokenizer.end + 1:,} numbers, and its text tower {embedded:,}")


def _features(clip: Any, pictures: Tensor) -> Tensor:
    """What the picture tower of `clip` makes of normalised pictures."""
    if isinstance(clip, PlainCLIP) or is_open_clips(
        clip, "open_clip.model", "CLIP", "CustomTextCLIP"
    ):  # others do more than run their tower
        return picture_features(clip.visual, pictures)
    features: Tensor = clip.encode_image(pictures)
    return features
