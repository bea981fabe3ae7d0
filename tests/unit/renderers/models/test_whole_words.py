"""A perceptor that reads whole words and has a head of ours: from a folder to unit vectors; and broken ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from open_clip.model import CLIP
from safetensors.torch import save_file

from renderers.errors import ModelFilesBroken
from renderers.models import Perceptor
from renderers.models.perceptor.grid_head import KEY, GridHead, give_grid_head
from renderers.models.perceptor.word_tokenizer import WordTokenizer, vocabulary_size
from renderers.registry import ModelEntry, PerceptorEntry
from renderers.word_table import WordTable, table_text
from tests.helpers.random_model import sha256, write_model

TABLE = WordTable(("a", "boat", "cat", "vessel"), ("a", "boat", "cat", "boat"), (100, 100, 100, 71))
SIDE = 64


def config(**ours: Any) -> dict[str, Any]:
    vision = {
        "timm_model_name": "test_efficientnet", "timm_model_pretrained": False, "timm_pool": "avg",
        "timm_proj": "linear", "timm_proj_bias": True, "image_size": SIDE,
    }  # fmt: skip
    text = {"context_length": 8, "vocab_size": vocabulary_size(TABLE), "width": 16, "heads": 2, "layers": 1}
    preprocess = {"size": SIDE, "mode": "RGB", "mean": [0.5] * 3, "std": [0.5] * 3}
    return {"model_cfg": {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}, "preprocess_cfg": preprocess} | ours


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config(**{KEY: 2})))
    torch.manual_seed(0)
    clip = CLIP(**config()["model_cfg"])
    give_grid_head(clip, 2)
    save_file(clip.state_dict(), tmp_path / "open_clip_model.safetensors")
    (tmp_path / "words.gz").write_bytes(table_text(TABLE.words, TABLE.taught, TABLE.nearness))
    return tmp_path


def pictures() -> torch.Tensor:
    return torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def test_numbers_as_open_clips_towers_want_them() -> None:
    numbers = WordTokenizer(TABLE, 6)(["a cat", "", "boats and a vessel that a cat has"])
    assert numbers.shape == (3, 6)
    end = vocabulary_size(TABLE) - 1
    assert numbers[0].tolist() == [1, 3, end, 0, 0, 0]
    assert numbers[1].tolist() == [end, 0, 0, 0, 0, 0]
    assert numbers.argmax(dim=1).tolist() == [2, 0, 5]  # the end is the highest: where open_clip looks
    assert int(numbers.max()) == end


def test_it_is_loaded_and_reads_words(folder: Path) -> None:
    perceptor = Perceptor.load(folder, words="words.gz")
    assert isinstance(perceptor.clip.visual.head, GridHead)
    cat, cats, boat = perceptor.embed_texts(["A cat!", "a cats", "a boat"])
    assert torch.equal(cat, cats)
    assert not torch.equal(cat, boat)
    seen = perceptor.embed_pictures(pictures())
    torch.testing.assert_close(seen.norm(dim=1), torch.ones(2))
    again = Perceptor.load(folder, words="words.gz")
    assert torch.equal(seen, again.embed_pictures(pictures()))
    again.freeze_for_rendering(torch.float32)
    torch.testing.assert_close(seen, again.embed_pictures(pictures()), atol=1e-4, rtol=0)


def test_a_grid_head_begins_as_the_head_that_it_replaces_and_may_tell_left_from_right() -> None:
    torch.manual_seed(0)
    clip = CLIP(**config()["model_cfg"]).eval()
    before = clip.encode_image(pictures())
    proj = clip.visual.head.proj
    give_grid_head(clip, 2)
    clip.visual.head.begin_like(proj.weight.data, proj.bias.data)
    torch.testing.assert_close(before, clip.encode_image(pictures()), atol=1e-5, rtol=1e-4)
    features = torch.rand(1, proj.in_features, 2, 2)
    head = clip.visual.head
    torch.testing.assert_close(head(features), head(features.flip(-1)), atol=1e-5, rtol=1e-4)
    with torch.no_grad():
        head.proj.weight += 0.01 * torch.randn_like(head.proj.weight)
    assert float((head(features) - head(features.flip(-1))).detach().abs().max()) > 1e-3


@pytest.mark.parametrize("cells", [0, 17, "2", 2.5, True])
def test_a_wrong_number_of_cells_is_refused(folder: Path, cells: Any) -> None:
    (folder / "open_clip_config.json").write_text(json.dumps(config(**{KEY: cells})))
    with pytest.raises(ModelFilesBroken, match="grid_head is a whole number from 1 to 16"):
        Perceptor.load(folder, words="words.gz")


def test_another_number_of_cells_than_in_the_weights_is_refused(folder: Path) -> None:
    (folder / "open_clip_config.json").write_text(json.dumps(config(**{KEY: 3})))
    with pytest.raises(ModelFilesBroken, match=r"3 x 3 cells has weights of \[16, 2304\], and the file \[16, 1024\]"):
        Perceptor.load(folder, words="words.gz")


def test_a_head_that_is_none_of_timms_is_not_replaced(models: Any) -> None:
    with pytest.raises(ModelFilesBroken, match="grid_head is for a picture tower of timm's"):
        give_grid_head(models.perceptors[0].clip, 2)


def test_a_table_of_other_words_is_refused(folder: Path) -> None:
    (folder / "other.gz").write_bytes(table_text(("a",), ("a",), (100,)))
    with pytest.raises(ModelFilesBroken, match="its table of words has 515 numbers, and its text tower 518"):
        Perceptor.load(folder, words="other.gz")
    with pytest.raises(ModelFilesBroken, match=r"none\.gz' is no table of words"):
        Perceptor.load(folder, words="none.gz")


def test_words_decide_the_digest_of_a_model_and_known_words_do_not(tmp_path: Path) -> None:
    entry = write_model(tmp_path)
    digests = [entry.digest]
    for table in (table_text(("a",), ("a",), (100,)), table_text(("b",), ("b",), (100,))):
        (tmp_path / "words.gz").write_bytes(table)
        for name in ("words", "known_words"):
            perceptor = PerceptorEntry(
                folder=tmp_path, sha256=sha256(tmp_path / "open_clip_model.safetensors"), **{name: "words.gz"}
            )
            digests.append(entry.model_copy(update={"perceptors": (perceptor,)}).digest)
    plain, words, known, other_words, other_known = digests
    assert plain == known == other_known
    assert len({plain, words, other_words}) == 3


def test_merges_and_words_exclude_each_other(tmp_path: Path) -> None:
    whole: ModelEntry = write_model(tmp_path)
    given = whole.perceptors[0].model_dump(exclude_unset=True) | {"merges": "a.gz", "words": "b.gz"}
    with pytest.raises(ValueError, match="give merges or words"):
        PerceptorEntry.model_validate(given)
