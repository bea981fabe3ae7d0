"""A table of English words and a vector for each, made of a sentence model's: what a perceptor that reads whole words
starts from, so that words that no picture was named with lie near those that were.

Which words: all that captions are made of, and of SCOWL (Debian's `scowl`), which says how usual each is, those up to
size 35, as far as they are no regular forms of others; of sizes 20 and below all. Names of people are not among them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from renderers.errors import TrainingBroken
from renderers.models.perceptor.word_tokenizer import vocabulary_size
from renderers.training.captions import ALL_RELATIONS, COLOURS, NUMBERS, RELATION_WORDS, RELATIONS, SHAPES, TEMPLATES
from renderers.training.concepts import Concept
from renderers.training.sentence_model import SentenceModel
from renderers.training.words_of_scenes import MOMENTS, PLACES, STYLES
from renderers.word_table import BUCKETS, WordTable, read_words, table_text, tail_bucket, words_of

__all__ = [
    "DIMENSIONS",
    "TABLE",
    "VECTORS",
    "english_words",
    "kin_of",
    "make_word_vectors",
    "read_word_vectors",
    "taught_of_objects",
    "taught_words",
]

DIMENSIONS = 192  # of a vector, of the sentence model's 384: its principal ones
SCALE = 0.1  # root mean square of a vector's numbers: an open_clip text tower's own are of 0.02, places of 0.01
TABLE, VECTORS = "words.tsv.gz", "word_vectors.safetensors"
SIZES = (10, 20, 35)  # SCOWL's; the last without regular forms
FORMS = ("s", "es", "ed", "ly", "est", "ness")
# Little words say how things lie, or nothing: none of them lacks a picture.
_LITTLE = """
a an the of in on at by to from with without and or nor but as is are was were be been being am it its this
that these those there here his her their our my your him them they he she we you i me us who whom which what
when where why how not no some any all each every both few many much more most other another such only own
same so than too very just into onto over under above below between among through across along around near
next up down out off again then has have had having do does did doing will would can could should may might
must shall if while for against like picture image photo photograph painting drawing illustration scene art
style background
"""
LITTLE = frozenset(_LITTLE.split())

# The sentence model knows little of colours: what they are called besides, and which of `COLOURS` that is.
COLOUR_NAMES = {
    "red": "crimson scarlet ruby maroon burgundy cherry",
    "blue": "azure navy sapphire indigo cobalt",
    "green": "emerald lime olive jade",
    "yellow": "golden gold blond",
    "orange": "amber apricot",
    "purple": "violet lavender lilac mauve plum",
    "pink": "magenta fuchsia salmon",
    "brown": "chestnut bronze tan beige",
    "cyan": "turquoise teal aqua",
    "white": "ivory",
    "black": "ebony jet",
    "gray": "silver ashen",
}
COLOUR_NEARNESS = 80
KIN = 60  # hundredths of nearness from which on a word may stand for the taught one in a caption
PICTURED = (
    "a picture of a {}"  # so that a word is taken for what it looks like: "gentleman" is nearer to "man" than to "men"
)


def taught_of_objects(concepts: Iterable[Concept]) -> frozenset[str]:
    """All words that a caption of `concepts` on plain grounds may have, and the little ones."""
    texts = [name for concept in concepts for name in concept.names]
    texts += [*COLOURS, "grey", *SHAPES, *NUMBERS.values(), *RELATIONS, *TEMPLATES]
    return frozenset(word for text in texts for word in words_of(text)) | LITTLE


def taught_words(concepts: Iterable[Concept]) -> frozenset[str]:
    """All words that a caption of `concepts` in any scene may have, and the little ones."""
    texts = [*ALL_RELATIONS]
    texts += [words for several in RELATION_WORDS.values() for words in several]
    texts += [words for place in PLACES.values() for words in (*place.around, *place.alone)]
    texts += [words for moment in MOMENTS.values() for words in moment.words]
    texts += [words for several in STYLES.values() for words in several]
    return taught_of_objects(concepts) | {word for text in texts for word in words_of(text)}


def english_words(scowl: Path, taught: Iterable[str]) -> tuple[str, ...]:
    """The words of a table, in the order of the alphabet; `scowl` is the folder of SCOWL's lists.

    Raises:
        TrainingBroken: the lists are not there.
    """
    lists: list[set[str]] = []
    for size in SIZES:
        try:
            texts = [(scowl / f"{kind}-words.{size}").read_text("latin-1") for kind in ("english", "american")]
        except OSError as error:
            raise TrainingBroken(f"'{scowl}' holds no lists of SCOWL: {error}") from error
        words = {word for text in texts for word in text.split()}
        lists.append({word for word in words if word.isascii() and word.isalpha() and word.islower()})
    usual, more = lists[0] | lists[1], lists[2]
    known = usual | more | set(taught)
    singular = {word for word in usual if not _form_of(word, known, ("s", "es"))}
    return tuple(sorted({*taught, *singular, *(word for word in more if not _form_of(word, known, FORMS))}))


def _form_of(word: str, known: set[str], endings: Iterable[str]) -> bool:
    for ending in endings:
        stem = word.removesuffix(ending)
        if stem != word and len(stem) > 2:
            changed = stem[:-1] + "y" if stem.endswith("i") else stem + "e"
            if {stem, changed} & known or (stem[-1] == stem[-2] and stem[:-1] in known):
                return True
    return False


@torch.no_grad()
def make_word_vectors(words: tuple[str, ...], taught: frozenset[str], model: SentenceModel, folder: Path) -> WordTable:
    """Write the table of `words` and their vectors into `folder`; gives the table.

    Vectors are those of the sentence model for a picture of what the word says, less their mean, in as many principal
    components, all of one length. A bucket of words that are not in the table has the mean of the words in the table
    with such last letters.
    """
    whole = model.embed([PICTURED.format(word) for word in words])
    own = torch.tensor([word in taught for word in words])
    places = torch.tensor([i for i, word in enumerate(words) if own[i] and word not in LITTLE])
    centred = whole - whole.mean(dim=0)
    _, axes = torch.linalg.eigh(centred.T @ centred)  # from the least to the greatest
    vectors = F.normalize(centred @ axes[:, -DIMENSIONS:].flip(1), dim=1)

    near, which = (F.normalize(centred, dim=1) @ F.normalize(centred[places], dim=1).T).max(dim=1)
    nearest = [words[i] if own[i] else words[int(places[which[i]])] for i in range(len(words))]
    nearness = [100 if own[i] else round(100 * float(near[i].clamp(0, 0.99))) for i in range(len(words))]
    colours = {word: colour for colour, names in COLOUR_NAMES.items() for word in names.split()}
    for i, word in enumerate(words):
        if word in colours and not own[i]:
            nearest[i], nearness[i] = colours[word], COLOUR_NEARNESS
    buckets = torch.zeros(BUCKETS, DIMENSIONS)
    buckets.index_add_(0, torch.tensor([tail_bucket(word) for word in words]), vectors)
    buckets = F.normalize(buckets, dim=1)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {"vectors": (torch.cat([vectors, buckets]) * SCALE * DIMENSIONS**0.5).half().contiguous()}, folder / VECTORS
    )
    (folder / TABLE).write_bytes(table_text(words, nearest, nearness))
    return read_words(folder / TABLE)


def read_word_vectors(folder: Path) -> tuple[WordTable, Tensor]:
    """The table in `folder`, and its vectors `(words + BUCKETS, DIMENSIONS)`, float32.

    Raises:
        ModelFilesBroken: the table can't be read.
        TrainingBroken: the vectors can't be read, or are of another table.
    """
    table = read_words(folder / TABLE)
    try:
        vectors = load_file(folder / VECTORS)["vectors"].float()
    except Exception as error:  # safetensors raises what it likes for files that are none
        raise TrainingBroken(f"the vectors of words in '{folder}' can't be read: {error}") from error
    if vectors.shape != (len(table.words) + BUCKETS, DIMENSIONS):
        raise TrainingBroken(f"'{folder}' holds {tuple(vectors.shape)} vectors for {len(table.words)} words")
    return table, vectors


def kin_of(table: WordTable, *, most: int = 8) -> Tensor:
    """What may stand for each number of a tokenizer over `table`, `(numbers, most)`: for a taught word others that mean
    nearly the same, the nearest first and again where there are few; for all else itself."""
    kin = torch.arange(vocabulary_size(table))[:, None].repeat(1, most)
    of_taught: dict[str, list[tuple[int, int]]] = {}
    for i, (word, nearest, near) in enumerate(zip(table.words, table.taught, table.nearness, strict=True)):
        if near >= KIN and word != nearest:
            of_taught.setdefault(nearest, []).append((-near, 1 + i))
    for word, several in of_taught.items():
        chosen = [number for _, number in sorted(several)][:most]
        kin[1 + table.numbers[word]] = torch.tensor((chosen * most)[:most])
    return kin
