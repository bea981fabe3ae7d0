"""Where prompts end for a perceptor: the very tokens that open_clip's tokenizer counts, without loading it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import open_clip
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.schema import ManifestRow
from renderers.prompt_length import _end_of, _tokenizer, text_end, unread_texts
from renderers.registry import PerceptorEntry, Registry
from tests.helpers.root import ROOT

EMBEDDED = Registry().entry("embedded").perceptors[0]
OPENAI = PerceptorEntry(architecture="ViT-B-32", pretrained="openai")
WORDS = st.sampled_from(
    ["a", "red", "apple", "table,", "isn't", "it?", "1984", "caf\u00e9", "\u732b", "\U0001f34e", "&amp;", "<b>", "_x_"]
)


def count(perceptor: PerceptorEntry, text: str) -> int:
    known = _tokenizer(perceptor)
    assert known is not None
    end = _end_of(text, known[0], 0)
    return 0 if end is None else end.tokens


@pytest.mark.parametrize("perceptor", [EMBEDDED, OPENAI], ids=["embedded", "ViT-B-32"])
def test_tokens_are_those_of_open_clip(perceptor: PerceptorEntry) -> None:
    if perceptor.architecture is None:
        theirs = open_clip.get_tokenizer(
            f"local-dir:{perceptor.path}", bpe_path=str(perceptor.path / str(perceptor.merges))
        )
    else:
        theirs = open_clip.get_tokenizer(perceptor.architecture)

    @settings(deadline=None, max_examples=150)
    @given(st.lists(WORDS, max_size=30).map(" ".join) | st.text(max_size=60))
    def same(text: str) -> None:
        assert count(perceptor, text) == len(theirs.encode(text))

    same()
    known = _tokenizer(perceptor)
    assert known is not None
    assert known[1] == theirs.context_length - 2


def test_a_long_prompt_says_where_it_ends(cases: Path) -> None:
    text = (cases / "long_prompt_base.txt").read_text().strip() + " a green frog"
    end = text_end(text, OPENAI)
    assert end is not None
    assert end.read == 75
    assert end.tail.startswith("…")
    assert end.tail[1:] in text
    assert "frog" not in end.tail
    assert text_end("a red apple", OPENAI) is None
    row = ManifestRow.model_validate({"video_id": "a", "prompt": f"{text} | a red apple", "frames": 2})
    (said,) = unread_texts(row, Registry().entry("embedded"))
    assert said.startswith(
        "prompt 'a highly detailed matte painting of a r…' is longer than model 'embedded' reads, 18 of 143 tokens: "
        "for it the text ends after '…matte painting of a red apple on a'"
    )


@pytest.mark.timeout(20)
def test_no_text_takes_long() -> None:
    assert text_end("a" * 100_000, OPENAI) is not None
    assert text_end("\u732b" * 100_000, OPENAI) is not None
    assert text_end("a " * 50_000, OPENAI) is not None


@pytest.mark.parametrize(
    "config", ["[" * 100_000, '{"model_cfg": []}', '{"model_cfg": {"text_cfg": ["x"]}}', "3", "\xff"]
)
def test_a_folder_whose_config_is_none_is_left_to_who_loads_it(tmp_path: Path, config: str) -> None:
    (tmp_path / "open_clip_config.json").write_text(config, encoding="latin-1")
    assert text_end("a red apple", PerceptorEntry(folder=tmp_path, sha256="0" * 64)) is None


@pytest.mark.timeout(20)
def test_a_pipe_in_the_place_of_a_config_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "open_clip_config.json")
    assert text_end("a red apple", PerceptorEntry(folder=tmp_path, sha256="0" * 64)) is None


def test_it_imports_neither_torch_nor_open_clip() -> None:
    code = "import sys, renderers.prompt_length as p; from renderers.registry import Registry; "
    code += "p.text_end('a ' * 50, Registry().entry('embedded').perceptors[0]); "
    code += "print({'torch', 'open_clip'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said.strip() == "set()"
