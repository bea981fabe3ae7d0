"""The tokenizers of Hugging Face that some perceptors have, as far as they are on this machine: for counting alone.

Such a tokenizer is a file, `tokenizer.json`, in the perceptor's own folder, or in the cache where it came with the
model. It is read with the package `tokenizers`, which comes with `transformers`, without which such a perceptor can't
be loaded either. Nothing is fetched here; where the file or the package is missing, nothing is known.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from renderers.registry import PerceptorEntry

__all__ = ["TOKENIZER_WORDS", "HubTokenizer", "hub_tokenizer"]

# What open_clip's own configs tell a tokenizer. Another word may have it open files, or run them.
TOKENIZER_WORDS = {"clean", "strip_sep_token"}

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True)
class HubTokenizer:
    """A tokenizer, how many tokens of a text its perceptor reads, and how open_clip cleans a text before."""

    tokens: Any
    limit: int
    cleaning: str

    def cleaned(self, text: str) -> str:
        """Return a text, free of HTML and with plain blanks, as open_clip gives it to the tokenizer."""
        if self.cleaning == "canonicalize":  # of SigLIP (big_vision, prompt_engineering.py)
            return " ".join(text.replace("_", " ").translate(_NO_PUNCTUATION).lower().split())
        return text.lower() if self.cleaning == "lower" else text

    def count(self, text: str) -> tuple[int, int]:
        """Return how many tokens a cleaned text is, and how many of its characters are read."""
        found = self.tokens.encode(text, add_special_tokens=False)
        count = len(found.ids)
        return count, len(text) if count <= self.limit else found.offsets[self.limit - 1][1]


def hub_tokenizer(perceptor: PerceptorEntry, settings: Mapping[str, Any], context: int) -> HubTokenizer | None:
    """Return the tokenizer that the `text_cfg` of a perceptor names; None where it is not at hand.

    Args:
        context: how many tokens the perceptor takes, those included that the tokenizer adds.
    """
    options = dict(settings.get("tokenizer_kwargs") or {})
    file = _file(perceptor, str(settings["hf_tokenizer_name"]))
    if file is None or not options.keys() <= TOKENIZER_WORDS:
        return None
    try:
        tokens = import_module("tokenizers").Tokenizer.from_file(str(file))  # no dependency of ours
        tokens.no_truncation()
        tokens.no_padding()
        # in the mode `clips` open_clip adds three of its own
        added = 3 if settings.get("tokenizer_mode") == "clips" else tokens.num_special_tokens_to_add(False)
    except Exception:  # it raises bare ones; whoever loads the model says what is wrong with the file
        return None
    return HubTokenizer(tokens, max(1, context - added), str(options.get("clean", "whitespace")))


def _file(perceptor: PerceptorEntry, name: str) -> Path | None:
    if perceptor.architecture is None:
        file = perceptor.path / "tokenizer.json"  # whatever its config names: open_clip looks here only
        return file if file.is_file() else None
    snapshots = perceptor.cache_path / f"models--{name.replace('/', '--')}" / "snapshots"
    return max(snapshots.glob("*/tokenizer.json"), key=lambda path: path.stat().st_mtime, default=None)
