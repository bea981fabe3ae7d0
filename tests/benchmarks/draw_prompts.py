"""The draw of `renderers/evaluation/drawn_prompts.yaml`, again: which hundred of Unicode's names of emoji chance took.

python -m tests.benchmarks.draw_prompts --sprites SPRITES --scowl /usr/share/dict/scowl
"""

from __future__ import annotations

import argparse
import random
from collections import defaultdict
from pathlib import Path

from renderers.evaluation.prompts import load_prompts
from renderers.training.concepts import load_concepts
from renderers.training.sprites import STYLES, Sprites, load_sprites
from renderers.training.vocabulary import CLIPART, KIND_OF_LABEL, KIND_OF_SUBGROUP, named_sprites, tidy_label

SEED, NUMBER = 27, 100
MOST_WORDS = 2
UNSEEN = {"noto", "twemoji", "fluent"}  # what the judge's ceiling is measured on
SIZES = (10, 20, 35)


def candidates(sprites: Sprites, common: set[str]) -> dict[str, str]:
    """Label -> name of all that may be drawn, in the order of the alphabet."""
    styles: dict[str, set[str]] = defaultdict(set)
    for style, label in zip(sprites.style, sprites.label, strict=True):
        if style != CLIPART:
            styles[label].add(style)
    training = sprites.of_styles(*(style for style, role in STYLES.items() if role == "training"))
    named, _ = named_sprites(training)
    shows = {
        label: concept
        for label, concept, style in zip(named.label, named.concept, named.style, strict=True)
        if style != CLIPART
    }
    chosen = {prompt.concept for prompt in load_prompts()}
    taken = {concept.emoji for concept in load_concepts() if concept.name in chosen}
    judges = {style for style, role in STYLES.items() if role != "training"}
    found = {}
    for label, drawn in sorted(styles.items()):
        said, name = sprites.words.get(label), tidy_label(label)
        kind = KIND_OF_LABEL.get(label) or KIND_OF_SUBGROUP.get(said.subgroup if said else "")
        words = name.split() if name else []
        usual = (
            0 < len(words) <= MOST_WORDS
            and common.issuperset(words)
            and words[0] not in ("man", "woman", "men", "women")
        )
        seen = len(drawn & judges) > 1 and drawn & UNSEEN
        if (
            name
            and kind not in (None, "sign")
            and usual
            and seen
            and label not in taken
            and shows.get(label) not in chosen
        ):
            found[label] = name
    return found


def main() -> None:
    """Draw, and print the names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sprites", type=Path, required=True)
    parser.add_argument("--scowl", type=Path, required=True)
    given = parser.parse_args()
    lists = [given.scowl / f"{kind}-words.{size}" for size in SIZES for kind in ("english", "american")]
    common = {word for path in lists for word in path.read_text("latin-1").split()}
    found = candidates(load_sprites(given.sprites), common)
    drawn = random.Random(SEED).sample(sorted(found), NUMBER)
    print(f"{NUMBER} of {len(found)}:", ", ".join(found[label] for label in drawn))
    assert drawn == [prompt.emoji for prompt in load_prompts("drawn")]


if __name__ == "__main__":
    main()
