"""Values with a shape, for the readers that get values and not bytes: rows, texts of the small languages, documents."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import strategies as st

from manifests.importing.aig import looks_like_subjects
from manifests.importing.command_line import looks_like_command
from manifests.importing.documents import mapping_of
from manifests.results import ManifestError
from manifests.schema import ManifestRow
from manifests.schema.describe import known_columns
from manifests.schema.timeline import Timeline
from tests.fuzz import seeds

__all__ = ["choices", "documents", "frame_lists", "keyframes", "prompts", "rows", "settings_of_tools", "timelines"]

_EDGES = st.sampled_from([
    0, 1, -1, 2, 63, 64, 65, 4096, 10**6, 2**31, 2**63, -(2**63) - 1, 10**30, 0.0, -0.0, 1e-308, 1e308, float("inf"),
    float("-inf"), float("nan"), "", " ", "0", "1", "-1", "1e999", "nan", "a red apple", "apple:2 | pear:-1",
    "0: apple | 5: pear", "sin(t)", "0: 1, 10: 2", "t**t", "\x00", "\ud800", "\u202e", "\u200b", "🐃", "a" * 5000,
    "[" * 2000, "(" * 2000, "../x", "con", "a/b", "s3://b/k", "http://127.0.0.1/x", "data:,x",
    True, False, None, b"\xff",
])  # fmt: skip
_WORDS = st.text(max_size=40)
_SCALARS = st.one_of(_EDGES, _WORDS, st.integers(), st.floats(), st.binary(max_size=8))
_ANY = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(sorted(known_columns())), inner),
    max_leaves=8,
)


def rows() -> st.SearchStrategy[dict[str, Any]]:
    """Rows of known and unknown columns, dotted ones among them, whose values are mostly wrong."""
    columns = st.sampled_from(sorted(known_columns())) | st.sampled_from(sorted(ManifestRow.model_fields)) | _WORDS
    base = st.fixed_dictionaries(
        {}, optional={"video_id": _EDGES | st.just("reef"), "prompt": _EDGES | prompts(), "frames": st.integers(0, 400)}
    )
    return st.builds(lambda a, b: {**a, **b}, base, st.dictionaries(columns, _ANY, max_size=5))


def _language(*tokens: str) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(tokens) | st.text(max_size=4), max_size=30).map("".join)


def prompts() -> st.SearchStrategy[str]:
    """Texts of the prompts' small language."""
    return _language(
        "a red apple", " ", "|", ":", "::", "2", "-1", "0.5", "1e9", "0:", "10:", "\n", "{", "}", '"', "~", ":(", ")",
        "t", ":(sin(t/8))", ":((t < 4) | (t > 9))", ":(0:(1), 9:(0))", ":(" * 40, ")" * 40, "\\",
    )  # fmt: skip


def choices() -> st.SearchStrategy[str]:
    """Texts with choices."""
    return _language(
        "{", "}", "|", "a|b", "{a|b}", "{name}", "2$$", "1-2$$", "-3$$", " and $$", "$$", "::", ".5::", "0::",
        "__list__", "__loop__", "__../x__", "__", "\\", "\\{", "\\_", "{" * 40, "{a|b}" * 40, " ",
        "{2$$__list__}", "x" * 3000,
    )  # fmt: skip


def timelines() -> st.SearchStrategy[Timeline]:
    """Videos, for what hangs on them."""
    return st.builds(
        Timeline, st.sampled_from([1, 2, 48, 10_000, 1_000_000]), st.sampled_from([24.0, 1e-6, 240.0]),
        st.sampled_from([0, 7, 2**63 - 1]), st.sampled_from([None, 120.0]), st.sampled_from([0.0, -1e5]),
    )  # fmt: skip


def keyframes() -> st.SearchStrategy[str]:
    """Texts of keyframes and expressions."""
    return _language(
        "t", "0", "10", "1.5", "1e308", ":", ",", "(", ")", "+", "-", "*", "/", "//", "%", "**", " ", "sin", "min(",
        "where(", "pi", "e", "0: 1", ", 10: ", "((((((((", "----", "9**9", "max_f", "\n", "s", "n", "b", "u", "seed",
        "<", "<=", "==", "!=", "=", "&", "|", "~", "^", "(t > 4)", " if ", " else ", "and", "max_f/2:", '"', "'", "{",
        "}", "rand(", "noise(t", "pulse(t, width=", "smoothstep(0, 9, ", "clamp(", "arctan2(", "log(", "asin(", "tri(",
        "+t" * 40, "noise(t)+" * 100, "where(t<3,1," * 30, "1 if t else " * 20,
    )  # fmt: skip


_SETTINGS = st.one_of(
    _EDGES.filter(lambda it: not isinstance(it, bytes)), _WORDS, keyframes(), st.integers(), st.floats(),
    st.lists(_WORDS | st.integers() | st.floats(), max_size=5),
    st.dictionaries(
        _WORDS | st.integers(-1, 100).map(str), _WORDS | st.floats() | st.lists(_WORDS, max_size=2), max_size=5
    ),
)  # fmt: skip


def settings_of_tools() -> st.SearchStrategy[str]:
    """Settings of other tools of which some are missing, and some have values that nobody gives them; and command lines
    of VQGAN-CLIP's."""
    documents = []
    for data in seeds.settings_of_tools():
        text = data.decode()
        if len(text) < 50_000 and not looks_like_command(text) and not looks_like_subjects(text):
            with contextlib.suppress(ManifestError):
                documents.append(mapping_of(text, "seed"))
    words = _language(
        "-p ", "'a | b ^ c:2'", "-zvid ", "-i ", "500 ", "-zse ", "10 ", "-zsc ", "0.9 ", "-zs ", "-zsx ", "-3 ",
        "-cpe ", "7 ", "-ip ", "a.png:1 ", "-nps ", "1 2 ", "-npw ", "-cutm ", "original ", "-aug ", "Ji Er ", "-vl ",
        "-s ", "64 64 ", "-sd ", "-opt ", "Adam ", "-lr=", "--", "=", "'", "$X ", "-vid ", "-ii ", "1e999 ",
        "-iw ", "\n", "\\\n",
    )  # fmt: skip
    return st.one_of(
        st.sampled_from(documents).flatmap(_other_settings), words.map(lambda text: f"python generate.py {text}")
    )


def _other_settings(document: dict[str, Any]) -> st.SearchStrategy[str]:
    keys = st.sampled_from(sorted(document))
    changed = st.dictionaries(keys | _WORDS, _SETTINGS, max_size=6)
    return st.builds(
        lambda change, without: json.dumps({k: v for k, v in {**document, **change}.items() if k not in without}),
        changed, st.sets(keys, max_size=4),
    )  # fmt: skip


def frame_lists() -> st.SearchStrategy[str]:
    """Texts that name frames."""
    return _language("1", "10", "-", ",", "x2", "x", " ", "1-10", "99999999999", "5-3", ":", "x0")


def documents() -> st.SearchStrategy[dict[str, bytes]]:
    """Objects of an output that were damaged, or are somebody else's, by their keys."""
    data = st.one_of(
        st.binary(max_size=200),
        _ANY.map(lambda value: json.dumps(value, default=repr).encode("utf-8", "replace")),
        st.sampled_from(list(seeds.stored_documents().values())).flatmap(_damaged),
        st.sampled_from([b"[" * 200_000, b"9" * 5000, b"", b"null", b"{}", b"[]", b'{"a":' * 5000]),
    )
    return st.dictionaries(st.sampled_from(list(seeds.stored_documents())), data, min_size=1, max_size=3)


def _damaged(document: bytes) -> st.SearchStrategy[bytes]:
    """`document`, JSON of a mapping, in which some values are others, or are missing."""
    keys = st.sampled_from(sorted(json.loads(document)))
    changed = st.dictionaries(keys, _ANY, max_size=3)
    return st.builds(lambda change, without: _changed(document, change, without), changed, st.sets(keys, max_size=2))


def _changed(document: bytes, change: dict[str, Any], without: set[str]) -> bytes:
    whole = {**json.loads(document), **change}
    kept = {key: value for key, value in whole.items() if key not in without}
    return json.dumps(kept, default=repr).encode("utf-8", "replace")
