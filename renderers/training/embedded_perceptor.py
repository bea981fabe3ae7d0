"""The perceptors of embedded pairs at their beginning: what a recipe's looks like, and what it starts from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from renderers.errors import BadInput, ModelFilesBroken
from renderers.models.perceptor.grid_head import KEY, GridHead, give_grid_head
from renderers.models.perceptor.word_tokenizer import WordTokenizer, vocabulary_size
from renderers.registry.entry import WEIGHTS
from renderers.training.pretrained import ARCHITECTURE, MEAN, STD, efficientnet_lite0
from renderers.training.recipes import PerceptorShape, Recipe
from renderers.training.scenes import SceneComposer
from renderers.training.word_vectors import read_word_vectors
from renderers.word_table import WordTable

__all__ = ["MERGES", "PERCEPTOR_CONFIG", "Words", "begun_perceptor", "perceptor_config", "perceptor_shell", "tokenizer"]

MERGES = WEIGHTS / "embedded" / "bpe_merges.txt.gz"
SIZE_OF_MERGES = 3515  # 3,000 merges, 512 bytes, start, end and padding


@dataclass(frozen=True)
class Words:
    """A table of words and the vectors `(n, width)` of what is in it, as `make_word_vectors` left them."""

    table: WordTable
    vectors: Tensor

    @classmethod
    def of(cls, folder: Path | None, made_by: Recipe) -> Words | None:
        """Those in `folder`, for a recipe whose perceptor reads whole words; None for any other.

        Raises:
            BadInput: the recipe wants words, and there is no folder.
            ModelFilesBroken, TrainingBroken: what is in the folder can't be read.
        """
        if not made_by.perceptor.words:
            return None
        if folder is None:
            raise BadInput(f"the perceptor of recipe '{made_by.name}' reads whole words: give the folder of `words`")
        return cls(*read_word_vectors(folder))


def perceptor_config(shape: PerceptorShape, words: Words | None = None) -> dict[str, Any]:
    """What `open_clip_config.json` says of a perceptor."""
    text = {
        "context_length": shape.context,
        "vocab_size": vocabulary_size(words.table) if words else SIZE_OF_MERGES,
        "width": shape.width,
        "heads": shape.heads,
        "layers": shape.layers,
    }
    config: dict[str, Any] = {
        "model_cfg": {
            "embed_dim": shape.dimensions,
            "vision_cfg": {
                "timm_model_name": ARCHITECTURE,
                "timm_model_pretrained": False,
                "timm_pool": "avg",
                "timm_proj": "linear",
                "timm_proj_bias": True,
                "image_size": shape.side,
            },
            "text_cfg": text,
        },
        "preprocess_cfg": {
            "size": shape.side,
            "mode": "RGB",
            "mean": [MEAN] * 3,
            "std": [STD] * 3,
            "interpolation": "bilinear",
            "resize_mode": "squash",
        },
    }
    return config | {KEY: shape.cells} if shape.cells else config


PERCEPTOR_CONFIG = perceptor_config(PerceptorShape())  # of the pair that ships


def tokenizer(shape: PerceptorShape, words: Words | None = None) -> SimpleTokenizer | WordTokenizer:
    """What makes numbers of texts: whole words', or those of the first 3,000 byte-pair merges of OpenAI's."""
    if words:
        return WordTokenizer(words.table, shape.context)
    return SimpleTokenizer(bpe_path=str(MERGES), context_length=shape.context)


def perceptor_shell(shape: PerceptorShape, words: Words | None = None) -> Any:
    """A perceptor with weights of chance, in eval mode."""
    config = perceptor_config(shape, words)["model_cfg"]
    clip = CLIP(config["embed_dim"], config["vision_cfg"], config["text_cfg"])
    if shape.cells:
        give_grid_head(clip, shape.cells)
    return clip.eval()


def begun_perceptor(
    shape: PerceptorShape, scenes: SceneComposer, seed: int, words: Words | None = None, start: Path | None = None
) -> Any:
    """A perceptor at its beginning: a pretrained trunk, its features whitened into a random projection; or the one in
    folder `start`, an exported perceptor of the same widths. Of whole words it has the vectors; then the picture tower
    of `start` is taken, and its text tower left.

    Raises:
        ModelFilesBroken: the weights in `start` can't be read or are of another shape.
    """
    torch.manual_seed(seed)
    clip = perceptor_shell(shape, words)
    if words:
        with torch.no_grad():
            clip.token_embedding.weight[1:-1] = words.vectors
            clip.token_embedding.weight[0] = 0  # what is empty
    if start is not None:
        return _started(clip, start / "open_clip_model.safetensors")
    kept = efficientnet_lite0().state_dict()
    trunk = clip.visual.trunk
    trunk.load_state_dict({key: kept[key] for key in trunk.state_dict()})
    pictures = scenes.compose(256, seed, 0, "whitening").pictures
    with torch.no_grad():
        pictures = F.interpolate(pictures, size=shape.side, mode="bilinear")
        features = trunk((pictures - MEAN) / STD)
        if features.ndim == 4:
            features = features.mean(dim=(2, 3))
        grid = isinstance(clip.visual.head, GridHead)
        projection = torch.nn.Linear(features.shape[1], shape.dimensions) if grid else clip.visual.head.proj
        # without this the mean of the features, which says nothing, drowns what tells pictures apart.
        projection.weight /= features.std(dim=0) + 1e-3
        projection.bias.copy_(-(projection.weight @ features.mean(dim=0)))
        if grid:
            clip.visual.head.begin_like(projection.weight, projection.bias)
    return clip


def _started(clip: Any, weights: Path) -> Any:
    """`clip` with the weights of another, which may read fewer tokens, or none of its words."""
    try:
        theirs = {key: value.float() for key, value in load_file(weights).items()}
        own = clip.state_dict()
        if theirs["token_embedding.weight"].shape != own["token_embedding.weight"].shape:
            theirs = _pictures_only(clip, theirs)
        else:
            positions = theirs["positional_embedding"]
            more = len(clip.positional_embedding) - len(positions)
            theirs["positional_embedding"] = torch.cat([positions, positions[-1:].expand(more, -1)])
        clip.load_state_dict(theirs)
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        raise ModelFilesBroken(f"no training can start from the perceptor '{weights}': {error}") from error
    return clip


def _pictures_only(clip: Any, theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """The picture tower and the scale of `theirs`, and all else of `clip`."""
    tower = {key: value for key, value in theirs.items() if key.startswith("visual.") or key == "logit_scale"}
    head = clip.visual.head
    if isinstance(head, GridHead) and "visual.head.proj.weight" in tower:
        weight = tower["visual.head.proj.weight"]
        if weight.shape != head.proj.weight.shape:
            head.begin_like(weight, tower["visual.head.proj.bias"])
            del tower["visual.head.proj.weight"], tower["visual.head.proj.bias"]
    kept: dict[str, Tensor] = {**clip.state_dict(), **tower}
    return kept
