"""Tables of words and their vectors: which words, what they mean by a sentence model, and how a training uses them."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from renderers.errors import BadInput, ModelFilesBroken, TrainingBroken
from renderers.models.perceptor.grid_head import GridHead
from renderers.models.perceptor.perceptor import Perceptor
from renderers.training.__main__ import main
from renderers.training.concepts import Concept, load_concepts
from renderers.training.embedded_perceptor import MERGES, Words, begun_perceptor, perceptor_config, tokenizer
from renderers.training.export import write_perceptor
from renderers.training.recipes import PerceptorShape, recipe
from renderers.training.sentence_model import SentenceModel
from renderers.training.word_vectors import (
    DIMENSIONS,
    LITTLE,
    TABLE,
    VECTORS,
    english_words,
    kin_of,
    make_word_vectors,
    read_word_vectors,
    taught_of_objects,
    taught_words,
)
from renderers.word_table import BUCKETS, WordTable

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "of", "picture", "cat", "dog", "vessel", "boat", "##s", "##boat"]
HEADS, WIDTH, LAYERS = 2, DIMENSIONS, 2


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A BERT of random weights in the files of a real one."""
    folder = tmp_path_factory.mktemp("bert")
    chance = torch.Generator().manual_seed(0)
    shapes = {
        "embeddings.word_embeddings.weight": (len(PIECES), WIDTH),
        "embeddings.position_embeddings.weight": (32, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
    }
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}."
        for name in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            shapes |= {f"{at}{name}.weight": (WIDTH, WIDTH), f"{at}{name}.bias": (WIDTH,)}
        shapes |= {f"{at}intermediate.dense.weight": (2 * WIDTH, WIDTH), f"{at}intermediate.dense.bias": (2 * WIDTH,)}
        shapes |= {f"{at}output.dense.weight": (WIDTH, 2 * WIDTH), f"{at}output.dense.bias": (WIDTH,)}
    weights = {key: torch.randn(shape, generator=chance) * 0.1 for key, shape in shapes.items()}
    norms = [f"encoder.layer.{i}.{name}.LayerNorm" for i in range(LAYERS) for name in ("attention.output", "output")]
    for name in ("embeddings.LayerNorm", *norms):
        weights |= {f"{name}.weight": torch.ones(WIDTH), f"{name}.bias": torch.zeros(WIDTH)}
    save_file(weights, folder / "model.safetensors")
    config = {"num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "layer_norm_eps": 1e-12}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vocab.txt").write_text("\n".join(PIECES))
    return folder


def test_a_sentence_model_is_what_torchs_own_layers_compute(bert):
    model = SentenceModel(bert)
    w = model._weights
    ids = torch.tensor([[2, 4, 7, 11, 3]])  # "a cats", in pieces
    x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][:5]
    x = F.layer_norm(x + w["embeddings.token_type_embeddings.weight"][0], (WIDTH,), eps=1e-12)
    for i in range(LAYERS):
        layer = torch.nn.TransformerEncoderLayer(
            WIDTH, HEADS, 2 * WIDTH, dropout=0, activation="gelu", layer_norm_eps=1e-12, batch_first=True
        )
        at = f"encoder.layer.{i}."
        state = layer.state_dict()
        for end in ("weight", "bias"):
            parts = [w[f"{at}attention.self.{name}.{end}"] for name in ("query", "key", "value")]
            state[f"self_attn.in_proj_{end}"] = torch.cat(parts)
            state[f"self_attn.out_proj.{end}"] = w[f"{at}attention.output.dense.{end}"]
            state[f"linear1.{end}"], state[f"linear2.{end}"] = (
                w[f"{at}{name}.dense.{end}"] for name in ("intermediate", "output")
            )
        layer.load_state_dict(state)
        with torch.no_grad():
            x = layer.eval()(x)
    expected = F.normalize(x.mean(dim=1), dim=-1)
    torch.testing.assert_close(model.embed(["a cats"]), expected, atol=1e-5, rtol=1e-4)


def test_a_text_means_the_same_alone_and_beside_longer_ones(bert):
    model = SentenceModel(bert)
    together = model.embed(["a cat", "a picture of a sailboat and a vessel", "dog"])
    torch.testing.assert_close(together[:1], model.embed(["a cat"]), atol=1e-6, rtol=1e-5)
    assert float((together[0] - together[2]).abs().max()) > 1e-3


def test_words_are_cut_into_the_longest_pieces(bert):
    model = SentenceModel(bert)
    assert [PIECES[i] for i in model._pieces(["vesselboats", "cat", "xcat", "catx"])] == [
        "[CLS]", "vessel", "##boat", "##s", "cat", "[UNK]", "[UNK]", "[SEP]",
    ]  # fmt: skip
    assert model.whole_words == ("of", "picture", "cat", "dog", "vessel", "boat")


def test_a_folder_without_a_sentence_model_is_refused(tmp_path, bert):
    with pytest.raises(TrainingBroken, match="holds no sentence model"):
        SentenceModel(tmp_path)
    for file in bert.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"none")
    with pytest.raises(TrainingBroken, match="holds no sentence model"):
        SentenceModel(tmp_path)


def test_what_captions_say_is_taught():
    cats = (Concept("cat", ("cat", "tabby cat"), "cat"),)
    of_objects, of_world = taught_of_objects(cats), taught_words(cats)
    assert of_objects > {"cat", "tabby", "red", "grey", "two", "left", "triangle", "background", *LITTLE}
    assert of_world > of_objects
    assert {"snow", "sunset", "pastel", "beside"} <= of_world - of_objects


def test_the_words_of_a_table_are_no_regular_forms_of_others(tmp_path):
    lists = {
        "10": "cat cats running run",
        "20": "boat Boat cafe's boxes box",
        "35": "sadness sad happily happy oarsman",
    }
    for size, words in lists.items():
        (tmp_path / f"english-words.{size}").write_text("\n".join(words.split()))
        (tmp_path / f"american-words.{size}").write_text("")
    found = english_words(tmp_path, {"glasses", "cat"})
    assert found == tuple("boat box cat glasses happy oarsman run running sad".split())  # noqa: SIM905
    with pytest.raises(TrainingBroken, match="no lists of SCOWL"):
        english_words(tmp_path / "none", set())


WORDS = ("a", "boat", "cat", "crimson", "dog", "of", "picture", "red", "sailboat", "vessel")
TAUGHT = frozenset({"a", "boat", "cat", "red", "of", "picture"})


@pytest.fixture(scope="module")
def words_folder(tmp_path_factory, bert):
    folder = tmp_path_factory.mktemp("words")
    make_word_vectors(WORDS, TAUGHT, SentenceModel(bert), folder)
    return folder


def test_vectors_are_of_one_length_and_the_same_again(words_folder, bert, tmp_path):
    table, vectors = read_word_vectors(words_folder)
    assert table.words == WORDS
    assert vectors.shape == (len(WORDS) + BUCKETS, DIMENSIONS)
    torch.testing.assert_close(
        vectors[: len(WORDS)].pow(2).mean(dim=1).sqrt(), torch.full((len(WORDS),), 0.1), atol=2e-3, rtol=0
    )
    near = dict(zip(WORDS, zip(table.taught, table.nearness, strict=True), strict=True))
    assert near["crimson"] == ("red", 80)  # by hand: the sentence model knows little of colours
    assert near["cat"] == ("cat", 100)
    assert near["dog"][0] in TAUGHT - LITTLE
    make_word_vectors(WORDS, TAUGHT, SentenceModel(bert), tmp_path)
    for name in (TABLE, VECTORS):
        assert (tmp_path / name).read_bytes() == (words_folder / name).read_bytes()


def test_vectors_of_another_table_are_refused(words_folder, tmp_path):
    (tmp_path / TABLE).write_bytes((words_folder / TABLE).read_bytes())
    with pytest.raises(TrainingBroken, match="can't be read"):
        read_word_vectors(tmp_path)
    save_file({"vectors": torch.zeros(3, DIMENSIONS)}, tmp_path / VECTORS)
    with pytest.raises(TrainingBroken, match="for 10 words"):
        read_word_vectors(tmp_path)
    with pytest.raises(ModelFilesBroken, match="no table of words"):
        read_word_vectors(tmp_path / "none")


def test_kin_stand_for_taught_words_only():
    table = WordTable(
        ("boat", "cat", "idea", "ship", "vessel"), ("boat", "cat", "cat", "boat", "boat"), (100, 100, 30, 90, 71)
    )
    kin = kin_of(table, most=3)
    assert kin[1].tolist() == [4, 5, 4]  # boat: ship, vessel, and again
    assert kin[2].tolist() == [2, 2, 2]  # an idea is no cat
    assert kin[0].tolist() == [0, 0, 0]
    assert kin.shape == (5 + BUCKETS + 2, 3)


def shape() -> PerceptorShape:
    return recipe("embedded128").perceptor


def test_a_recipe_with_whole_words_wants_their_vectors(words_folder):
    with pytest.raises(BadInput, match="'embedded128' reads whole words"):
        Words.of(None, recipe("embedded128"))
    assert Words.of(None, recipe("embedded")) is None
    assert Words.of(words_folder, recipe("embedded128")).table.words == WORDS


def test_it_begins_with_the_picture_tower_of_another_and_the_vectors_of_words(words_folder):
    words = Words.of(words_folder, recipe("embedded128"))
    clip = begun_perceptor(shape(), None, 0, words, MERGES.parent)
    assert isinstance(clip.visual.head, GridHead)
    torch.testing.assert_close(clip.token_embedding.weight[1:-1], words.vectors)
    shipped = Perceptor.load(MERGES.parent, merges=MERGES.name)
    pictures = torch.rand(2, 3, 80, 80, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(clip.encode_image(pictures), shipped.clip.visual(pictures), atol=1e-3, rtol=1e-3)


def test_an_exported_one_is_loaded_and_says_the_same(words_folder, tmp_path):
    words = Words.of(words_folder, recipe("embedded128"))
    clip = begun_perceptor(shape(), None, 0, words, MERGES.parent)
    write_perceptor(perceptor_config(shape(), words), clip.state_dict(), tmp_path, half=True)
    (tmp_path / TABLE).write_bytes((words_folder / TABLE).read_bytes())
    loaded = Perceptor.load(tmp_path, words=TABLE)
    with torch.no_grad():
        texts = F.normalize(clip.encode_text(tokenizer(shape(), words)(["a red boat", "a cat"])), dim=-1)
    torch.testing.assert_close(loaded.embed_texts(["a red boat", "a cat"]), texts, atol=2e-3, rtol=0)


def test_the_shell_command_makes_a_table_of_a_recipes_words(bert, tmp_path, monkeypatch):
    pixels = np.zeros((2, 96, 96, 4), np.uint8)
    about = {"style": ["noto", "twemoji"], "label": ["cat face"] * 2, "packages": [], "words": {}}
    np.savez_compressed(tmp_path / "sprites.npz", pixels=pixels, about=json.dumps(about))
    for size in ("10", "20", "35"):
        (tmp_path / f"english-words.{size}").write_text("vessel\nvessels\n")
        (tmp_path / f"american-words.{size}").write_text("")
    said = ["training", "words", tmp_path, tmp_path / "words", "--model", bert, "--scowl", tmp_path]
    monkeypatch.setattr("sys.argv", [str(it) for it in (*said, "--recipe", "embedded")])
    main()
    table, _ = read_word_vectors(tmp_path / "words")
    taught = taught_of_objects(load_concepts())
    assert set(table.words) == {*taught, "vessel"}
    assert {word for word, near in zip(table.words, table.taught, strict=True) if word == near} == taught


def test_every_concept_can_be_read_whole():
    """No name is cut: the longest has fewer words than a perceptor reads."""
    names = [name for concept in load_concepts() for name in concept.names]
    assert max(len(name.split()) for name in names) + 20 < shape().context
