"""Where prompts end for perceptors with a tokenizer of Hugging Face's: by its file, where it and its package are here.

The package is no dependency; what stands for it here has the methods that are used of it, and does as it does (looked
at with tokenizers 0.23.3: the same counts and ends).
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from renderers.hub_tokenizer import hub_tokenizer
from renderers.prompt_length import _tokenizer, text_end
from renderers.registry import PerceptorEntry

ARCHITECTURE = "xlm-roberta-base-ViT-B-32"  # of open_clip's; its config names the tokenizer xlm-roberta-base


class Words:
    """A tokenizer of words and signs, which adds two tokens of its own."""

    truncated = padded = True

    @classmethod
    def from_file(cls, path: str) -> Words:
        json.loads(Path(path).read_text())
        return cls()

    def no_truncation(self) -> None:
        self.truncated = False

    def no_padding(self) -> None:
        self.padded = False

    def num_special_tokens_to_add(self, is_pair: bool) -> int:
        return 2

    def encode(self, text: str, add_special_tokens: bool = True) -> SimpleNamespace:
        assert (self.truncated, self.padded, add_special_tokens) == (False, False, False)
        found = [word.span() for word in re.finditer(r"\w+|[^\w\s]+", text)]
        return SimpleNamespace(ids=list(range(len(found))), offsets=found)


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("tokenizers")
    module.Tokenizer = Words  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tokenizers", module)
    _tokenizer.cache_clear()


def of_the_cache(folder: Path, file: str = "{}") -> PerceptorEntry:
    path = folder / "models--xlm-roberta-base/snapshots/0123/tokenizer.json"
    path.parent.mkdir(parents=True)
    path.write_text(file)
    return PerceptorEntry(architecture=ARCHITECTURE, pretrained="a-tag", cache=folder)


@pytest.mark.usefixtures("package")
def test_a_tokenizer_that_is_here_counts(tmp_path: Path) -> None:
    perceptor = of_the_cache(tmp_path)
    end = text_end("a red apple " * 40, perceptor)
    assert end is not None
    assert (end.read, end.tokens) == (75, 120)  # 77 less the two that it adds
    assert end.tail.endswith("a red apple a red apple")
    assert text_end("a red apple", perceptor) is None
    assert text_end("a red &amp; apple", perceptor) is None


@pytest.mark.usefixtures("package")
def test_the_file_of_a_folder_counts_as_its_config_says(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    perceptor = PerceptorEntry(folder=tmp_path, sha256="0" * 64)
    settings = {"hf_tokenizer_name": "org/name", "tokenizer_kwargs": {"clean": "canonicalize"}}
    found = hub_tokenizer(perceptor, settings, 12)
    assert found is not None
    assert (found.limit, found.cleaned("A Red-Apple, on_it!")) == (10, "a redapple on it")
    clips = hub_tokenizer(perceptor, {**settings, "tokenizer_mode": "clips"}, 12)
    assert clips is not None
    assert clips.limit == 9
    assert hub_tokenizer(perceptor, {**settings, "tokenizer_kwargs": {"language": "de"}}, 12) is None


@pytest.mark.usefixtures("package")
def test_of_one_that_is_not_here_or_damaged_nothing_is_said(tmp_path: Path) -> None:
    nowhere = PerceptorEntry(architecture=ARCHITECTURE, pretrained="a-tag", cache=tmp_path / "none")
    assert text_end("a red apple " * 400, nowhere) is None
    assert text_end("a red apple " * 400, of_the_cache(tmp_path, "{")) is None


def test_without_its_package_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    _tokenizer.cache_clear()
    with pytest.raises(ImportError):
        importlib.import_module("tokenizers")
    assert text_end("a red apple " * 400, of_the_cache(tmp_path)) is None
