"""Whether there is something to say of a text is told word by word; it is what is said of the whole text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from renderers.prompt_checks import PromptChecks, Said
from renderers.prompt_length import unread_text
from renderers.registry import ModelEntry, PerceptorEntry, Registry
from renderers.unknown_words import unknown_words_of

EMBEDDED = Registry().entry("embedded")
GLUED = PerceptorEntry(
    architecture="ViT-B-32", pretrained="openai", templates=("{}", "art{}ish (a painting).", "{0}, {0}!")
)
WORDS = st.sampled_from(
    ["a", "red", "apple", "table,", "isn't", "it?", "1984", "7", "caf\u00e9", "\u732b", "&amp;", "<b>", "_x_", "xyzzy",
     "qwertzuiop", "don't", "t-shirt", "<start_of_text>", "!", "\t", "\x00", "RED", "antidisestablishmentarianism",
     "x" * 300]
)  # fmt: skip
TEXTS = st.one_of(st.lists(WORDS, min_size=1, max_size=50).map(" ".join), st.text(min_size=1, max_size=90))


@pytest.fixture(scope="module", params=["embedded", "templates", "several"])
def entry(request: pytest.FixtureRequest) -> ModelEntry:
    own = {
        "embedded": EMBEDDED.perceptors,
        "templates": (GLUED.model_copy(update={"templates": GLUED.templates[:2]}),),
        "several": (*EMBEDDED.perceptors, GLUED),
    }
    return EMBEDDED.model_copy(update={"perceptors": own[request.param]})


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=4))
def test_what_is_said_is_what_is_said_of_the_whole_text(entry: ModelEntry, texts: list[str]) -> None:
    checks = PromptChecks(entry)
    for text in texts:
        wanted = Said(unread_text(text, entry), unknown_words_of(text, entry))
        assert checks.say(text) == wanted
        short = checks.say(text, in_full=False)
        assert (short.unread is None, short.unknown is None) == (wanted.unread is None, wanted.unknown is None)


def test_words_are_remembered() -> None:
    checks = PromptChecks(EMBEDDED)
    assert checks.say("a red apple and a qwertzuiop").unknown is not None
    assert checks.say("a red apple") == Said()
    assert checks.say("a qwertzuiop", in_full=False) == Said(None, "")
