"""Which words of a prompt a model does not know, and what it knows instead: of the shipped pair, of one that reads
whole words, and of ensembles."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from manifests.schema import ManifestRow
from renderers.evaluation.prompts import load_prompts
from renderers.registry import ModelEntry, PerceptorEntry, Registry
from renderers.training.concepts import load_concepts
from renderers.unknown_words import unknown_words
from renderers.word_table import table_text
from tests.helpers.root import ROOT

EMBEDDED = Registry().entry("embedded")


def row(prompt: str) -> ManifestRow:
    return ManifestRow.model_validate({"video_id": "a", "prompt": prompt, "frames": 2})


def with_table(folder: Path, **columns: str) -> ModelEntry:
    words = ("a", "boat", "cat", "idea", "red", "vessel")
    near = (100, 100, 100, 30, 100, 71)
    folder.mkdir(exist_ok=True)
    (folder / "w.gz").write_bytes(table_text(words, ("a", "boat", "cat", "cat", "red", "boat"), near))
    perceptor = PerceptorEntry(folder=folder, sha256="0" * 64, **columns)
    return EMBEDDED.model_copy(update={"perceptors": (perceptor,), "name": "small"})


def test_the_shipped_pair_says_what_it_was_never_taught() -> None:
    assert unknown_words(row("a lighthouse and a red apple | two kittens:-1"), EMBEDDED) == [
        "model 'embedded' does not know 'lighthouse' (nearest: 'light') of prompt 'a lighthouse and a red apple'"
    ]


def test_the_shipped_pair_knows_all_that_it_was_taught_and_is_judged_by() -> None:
    texts = [name for concept in load_concepts() for name in concept.names]
    texts += [it.prompt for it in load_prompts()]
    assert {text: said for text in texts if (said := unknown_words(row(text), EMBEDDED))} == {}


def test_to_whole_words_what_is_near_is_known(tmp_path: Path) -> None:
    assert unknown_words(row("a red vessel"), with_table(tmp_path, words="w.gz")) == []
    (said,) = unknown_words(row("a red vessel"), with_table(tmp_path, known_words="w.gz"))
    assert said == "model 'small' does not know 'vessel' (nearest: 'boat') of prompt 'a red vessel'"
    (said,) = unknown_words(row("an idea of a caat"), with_table(tmp_path, words="w.gz"))
    assert said.startswith("model 'small' does not know 'an', 'idea', 'of', 'caat' (nearest: 'cat') of")


def test_many_words_are_counted(tmp_path: Path) -> None:
    (said,) = unknown_words(row("qq ww ee rr tt yy u uu"), with_table(tmp_path, words="w.gz"))
    assert (
        said == "model 'small' does not know 'qq', 'ww', 'ee', 'rr', 'tt' and 2 more of prompt 'qq ww ee rr tt yy u uu'"
    )


def test_of_others_nothing_is_said(tmp_path: Path) -> None:
    small = with_table(tmp_path, words="w.gz")
    large = PerceptorEntry(architecture="ViT-B-32", pretrained="openai")
    both = small.model_copy(update={"perceptors": (*small.perceptors, large)})
    assert unknown_words(row("xyzzy"), both) == []
    assert unknown_words(row("xyzzy"), small) != []
    (tmp_path / "w2.gz").write_bytes(b"none")
    broken = small.model_copy(update={"perceptors": (PerceptorEntry(folder=tmp_path, sha256="0" * 64, words="w2.gz"),)})
    assert unknown_words(row("xyzzy"), broken) == []


@pytest.mark.timeout(60)
def test_it_imports_neither_torch_nor_open_clip() -> None:
    code = "import sys, renderers.unknown_words as u; from renderers.registry import Registry; "
    code += "from manifests.schema import ManifestRow; "
    code += "u.unknown_words(ManifestRow(video_id='a', prompt='xyzzy', frames=2), Registry().entry('embedded')); "
    code += "print({'torch', 'open_clip'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said.strip() == "set()"
