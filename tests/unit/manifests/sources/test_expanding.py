"""Combinations: what a block stands for, what it costs, and what is said of one that can't be read."""

from __future__ import annotations

import json
import re
import time
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.building import build
from manifests.problems import Listed
from manifests.results import GoodRow, ManifestError
from manifests.schema.describe import known_columns
from manifests.sources import wildcards, yaml_source
from tests.helpers.sources import Folder, built, refusal, rows

HERE = Path(__file__).parent


# --- what was there first ---------------------------------------------------------------------------------------------


def test_sources_without_the_feature_build_what_they_did() -> None:
    sources = yaml.safe_load((HERE / "former_sources.yaml").read_text(encoding="utf-8"))
    found = [
        [
            json.loads(it.row.model_dump_json(exclude_unset=True)) if isinstance(it, GoodRow) else str(it)
            for it in build(yaml.safe_dump(source, allow_unicode=True, sort_keys=False), "yaml", "night.yaml")
        ]
        for source in sources
    ]
    assert found == json.loads((HERE / "former_rows.json").read_text(encoding="utf-8"))


# --- axes -------------------------------------------------------------------------------------------------------------


def test_axes_have_any_names_and_set_any_column() -> None:
    block = {
        "axes": {
            "subject": ["a red apple", "a cat"], "First look": ["ink"], "optimiser.lr": [0.05, 0.1],
            "optimiser.even": [True], "steps": [3, None], "image_prompts": [[{"image": "a.png"}], None],
        },
        "template": "{subject}, {First look}",
        "id": "{subject}-{optimiser.lr}-{steps}-{image_prompts}-{optimiser.even}",
        "set": {"optimiser": {"beta1": 0.8}, "zoom": "{0: 1.02}", "loss.tv": "{optimiser.lr}", "seed": 4},
    }  # fmt: skip
    made = rows(block)
    assert len(made) == 2 * 2 * 2 * 2
    assert made[0] == {
        "video_id": "a-red-apple-0.05-3-image-prompts1-true", "prompt": "a red apple, ink", "steps": 3,
        "optimiser": {"lr": 0.05, "beta1": 0.8, "even": True}, "image_prompts": ({"image": "a.png"},),
        "zoom": "{0: 1.02}", "loss": {"tv": 0.05}, "seed": 4,
    }  # fmt: skip
    assert made[3]["video_id"] == "a-red-apple-0.05-none-none-true"
    assert not {"steps", "image_prompts"} & set(made[3]), "null is what is not given"
    assert [row["optimiser"]["lr"] for row in made] == ([0.05] * 4 + [0.1] * 4) * 2, "the first axis varies slowest"


def test_names_stand_in_all_texts_of_set_and_alone_they_are_the_value_itself() -> None:
    block = {
        "axes": {"word": ["red", "green"], "much": [2, 0.5]},
        "set": {
            "prompts": [{"at": 0, "prompts": [{"text": "a {word} apple", "weight": "{much}"}]}],
            "init_image": "starts/{word}.png", "zoom": "1 + .01*{much}",
        },
    }  # fmt: skip
    first = rows(block)[0]
    assert first["prompts"] == ({"at": 0, "prompts": ({"text": "a red apple", "weight": "2"},)},)
    assert (first["init_image"], first["zoom"], first["video_id"]) == ("starts/red.png", "1 + .01*2", "red-2")


def test_subjects_and_axes_go_together() -> None:
    made = rows({"subjects": ["x", "y"], "seeds": [7], "axes": {"steps": [3, 4]}})
    assert [(row["video_id"], row["prompt"], row["seed"], row["steps"]) for row in made] == [
        ("x-7-3", "x", 7, 3), ("x-7-4", "x", 7, 4), ("y-7-3", "y", 7, 3), ("y-7-4", "y", 7, 4),
    ]  # fmt: skip


def test_a_sweep_needs_no_words() -> None:
    good, _ = built(
        {"defaults": {"prompt": "a reef"}, "expand": {"axes": {"seed": [1, 2], "optimiser.lr": [0.1, -0.5]}}}
    )
    assert [(row["video_id"], row["prompt"]) for row in good] == [("1-0.1", "a reef"), ("2-0.1", "a reef")]
    made = rows({"axes": {"seed": [1]}, "set": {"prompt": "seed {seed}"}})
    assert made == [{"video_id": "1", "prompt": "seed 1", "seed": 1}]
    assert [row["prompt"] for row in rows({"axes": {"prompt": ["a | b:2", "{c}"]}, "id": "{prompt}"})] == [
        "a | b:2",
        "{c}",
    ]


def test_numbers_in_ids_keep_what_they_differ_by() -> None:
    made = rows({"axes": {"x": [1.5, 15, -1.5, "1e-05"]}, "template": "{x}"})
    assert [row["video_id"] for row in made] == ["1.5", "15", "minus1.5", "1e-05"]


def test_ids_that_nobody_chose_are_short_enough() -> None:
    axes = {f"a{number}": ["a rather long text of many words and more " * 3] for number in range(6)}
    (row,) = rows({"axes": axes})
    assert len(row["video_id"]) <= 128


NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="{}|$\\.", exclude_categories=["C", "Z"]), min_size=1, max_size=8
)
VALUES = st.lists(st.integers(-5, 99) | st.text("abc ", min_size=1, max_size=4), min_size=1, max_size=4)


@given(st.dictionaries(NAMES.filter(lambda it: it not in known_columns()), VALUES, min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_all_is_the_product_in_order_and_ids_differ(axes: dict[str, list[Any]]) -> None:
    template = "~".join(f"{{{name}}}" for name in axes)
    text = json.dumps({"expand": {"axes": axes, "template": f"a {template} b", "id": "v"}})
    made = [it.row for it in build(text, "yaml", "night.yaml") if isinstance(it, GoodRow)]
    assert [row.prompt for row in made] == [f"a {'~'.join(map(str, chosen))} b" for chosen in product(*axes.values())]
    assert len({row.video_id for row in made}) == len(made)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"axes": {}}, "'axes' of expand must be a block of lists"),
        ({"axes": [1]}, "'axes' of expand must be a block of lists"),
        ({"axes": {"a": []}}, "axis 'a' of expand needs a list with at least one entry"),
        ({"axes": {"a": 3}}, "axis 'a' of expand needs a list"),
        ({"axes": {"a": [[1]]}}, "axis 'a' of expand: entry 1 is '[1]', a list; allowed are texts and numbers"),
        ({"axes": {"a": ["x", None]}}, "axis 'a' of expand: entry 2 is 'none'"),
        (
            {"axes": {"steps": [{}]}},
            "axis 'steps' of expand: entry 1 is '{}', a dict; allowed are values of the column",
        ),
        ({"axes": {"optimizer.lr": [1]}}, "axis 'optimizer.lr' of expand is no column; did you mean 'optimiser.lr'?"),
        ({"axes": {"a|b": [1]}}, "axis 'a|b' of expand is no name"),
        ({"axes": {"video_id": ["a"]}}, "names of videos come from 'id'"),
        ({"axes": {"steps_frist": [1], "a": ["x"]}, "template": "{a}"}, "did you mean 'steps_first'?"),
        ({"axes": {"a": ["x"], "b": ["y"]}, "template": "{a}"}, "axis 'b' of expand changes nothing"),
        ({"axes": {"a": ["x"]}, "template": "{b}"}, "'template' of expand holds '{b}'; allowed are {a}"),
        ({"axes": {"style": ["x"]}, "template": "{styel}"}, "did you mean 'style'? allowed are {style}"),
        (
            {"axes": {"style": ["x"]}, "set": {"zoom": "{styel}"}},
            "'set' of expand holds '{styel}'; did you mean 'style'?",
        ),
        ({"axes": {"a": ["x"]}, "id": "{b}"}, "'id' of expand holds '{b}'; allowed are {a}"),
        ({"axes": {"a": ["x"]}, "id": "{a"}, "'id' of expand can't be read"),
        ({"axes": {"steps": [1]}, "set": {"steps": 3}}, "sets 'steps' twice"),
        ({"axes": {"optimiser.lr": [1]}, "set": {"optimiser": {"lr": 1}}}, "sets 'optimiser.lr' twice"),
        ({"axes": {"optimiser.lr": [1], "optimiser": [{"lr": 2}]}}, "sets 'optimiser.lr' by two axes"),
        ({"axes": {"prompt": ["x"]}, "template": "y"}, "has both 'template' and 'prompt'"),
        ({"axes": {"subject": ["x"]}, "subjects": ["y"]}, "has 'subject' twice"),
        ({"axes": {"a": ["x"]}, "moed": "all"}, "expand knows no 'moed'; did you mean 'mode'?"),
        ({"axes": {"a": ["x"]}, "mode": "some"}, "'mode' of expand is 'some'; allowed are all, sample"),
        ({"axes": {"a": ["x"]}, "count": 3}, "'count' of expand is for 'mode: sample'"),
        ({"axes": {"a": ["x"]}, "mode": "sample"}, "needs 'count'"),
        ({"axes": {"a": ["x"]}, "mode": "sample", "count": 0}, "allowed is a whole number from 1 to 1,000,000"),
        ({"axes": {"a": ["x"]}, "mode": "sample", "count": True}, "'count' of expand is True"),
        ({"axes": {"a": ["x", "y"]}, "mode": "sample", "count": 3}, "draws 3 of 2 combinations; allowed are 1 to 2"),
        ({"axes": {"a": ["x"]}, "wildcards": 1}, "'wildcards' of expand is 1; allowed are true, false"),
        ({"mode": "sample", "count": 3}, "expand needs 'axes'"),
    ],
)
def test_a_block_that_can_not_be_read_says_what_to_change(block: Any, message: str) -> None:
    said = refusal(block)
    assert said.startswith("night.yaml, expand block 1: ")
    assert message in said


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (
            {
                "axes": {name: list(range(10)) for name in "abcdefghi"},
                "template": "".join(f"{{{n}}}" for n in "abcdefghi"),
            },
            "makes 1,000,000,000 rows (10 of 'a' times 10 of 'b' times",
        ),
        (
            {"axes": {"seed": list(range(1000))}, "template": "{a|b|c|d}{a|b|c|d}{a|b|c|d}{a|b|c|d}{a|b|c|d}"},
            "makes 1,024,000 rows (1,000 of 'seed' times 1,024 texts); at most 1,000,000 are allowed in one block; "
            "'mode: sample' with 'count' draws some of them",
        ),
        ({"template": "{a|b}" * 900}, "makes some 10^271 rows"),
        ({"template": "{a|b}" * 1100}, "stands for some 10^331 texts; at most 10^300 are allowed"),
        ({"template": "{50$$" + "|".join(map(str, range(100))) + "}"}, "makes some 10^29 rows"),
        (
            {"template": "{500$$" + "|".join(["{a|b|c|d|e|f|g}" + str(n) for n in range(1000)]) + "}"},
            "stands for some 10^722 texts",
        ),
        ({"axes": {"a": ["x" * 600_000]}, "set": {"init_image": "{a}" * 900}}, "characters are allowed in one block"),
    ],
)
def test_explosions_are_named_before_anything_is_built(block: Any, message: str) -> None:
    began = time.process_time()
    assert message in refusal(block)
    assert time.process_time() - began < 5


# --- choices ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "texts"),
    [
        ("a {red|green} apple", ["a red apple", "a green apple"]),
        ("{ red | green }, {x|y}", ["red, x", "red, y", "green, x", "green, y"]),
        ("{a|{b|c}}", ["a", "b", "c"]),
        ("{{a|b}|c}", ["a", "b", "c"]),
        ("{a|a|b}", ["a", "b"]),
        ("{.5::a|.1::b}", ["a", "b"]),
        ("{a|}x", ["ax", "x"]),
        ("{2$$a|b|c}", ["a, b", "a, c", "b, c"]),
        ("{2$$ and $$a|b|c}", ["a and b", "a and c", "b and c"]),
        ("{1-2$$+$$a|b|c}", ["a", "b", "c", "a+b", "a+c", "b+c"]),
        ("{2-$$a|b}", ["a, b"]),
        ("{-1$$a|b}!", ["!", "a!", "b!"]),
        ("{2$$a|{b|c}|d}", ["a, b", "a, c", "a, d", "b, d", "c, d"]),
        ("{2$$__colours__}", ["red, green", "red, deep sky", "red, deep sea", "green, deep sky", "green, deep sea"]),
        ("a __colours__ cup", ["a red cup", "a green cup", "a deep sky cup", "a deep sea cup"]),
        ("__deep/blues__", ["sky", "sea"]),
        (r"\{a\} {b|c\}} x\_ \:", ["{a} b x_ \\:", "{a} c} x_ \\:"]),
        ("{a|b} | blur:-1", ["a | blur:-1", "b | blur:-1"]),
    ],
)
def test_choices_in_all_their_forms(template: str, texts: list[str]) -> None:
    files = {
        "wildcards__colours.txt": "\ufeff# of the sea\nred\n\n 2::green\r\ndeep __deep/blues__\n",
        "wildcards__deep__blues.txt": "sky\nsea\n",
    }
    made = rows({"template": template, "id": "v"}, **files)
    assert [row["prompt"] for row in made] == [text.strip() if text.strip() else text for text in texts]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("a {red|green", "'template' of expand opens a brace at character 3 that is never closed"),
        ("a {red|{x|y}", "opens a brace at character 3 that is never closed"),
        ("a}", "closes a brace at character 2 that is open nowhere"),
        ("a {red} b", "holds '{red}'"),
        ("a {}", "holds '{}'"),
        ("{3$$a|b}", "takes 3 of 2 at character 1; allowed are 1 to 2"),
        ("{2-1$$a|b}", "takes 2 to 1 of 2 at character 1"),
        ("{0::a|b}", "has the weight 0 at character 2; allowed is a number above 0"),
        ("{" * 60 + "a" + "|b}" * 60, "more than 50 braces in each other, at character 51"),
        ("__colors__", "there is no list 'wildcards/colors.txt' beside the source; did you mean 'colours'?"),
        (
            "x __qqqq__",
            "names '__qqqq__' at character 3: there is no list 'wildcards/qqqq.txt' beside the source; there are",
        ),
        (
            "__loop__",
            "line 2 of 'wildcards/loop.txt': names '__pool__' at character 3: line 1 of 'wildcards/pool.txt': "
            "names '__loop__' at character 1: the lists loop -> pool -> loop hold each other",
        ),
        ("__empty__", "the list 'wildcards/empty.txt' has no line"),
        ("__latin__", "line 1 of 'wildcards/latin.txt': no text in UTF-8"),
        ("__wide__", "line 1 is not UTF-8 text, but UTF-16"),
        ("__bad__", "line 2 of 'wildcards/bad.txt': opens a brace at character 1 that is never closed"),
        ("__long__", "line 1 of 'wildcards/long.txt': more than 100,000 characters"),
        ("__many__", "more than 200,000 options in all lists of the source"),
        ("__double0__", "stands for texts of"),
        ("__../secret__", "the list '../secret' can't lie in the folder 'wildcards'"),
        ("__/etc/passwd__", "can't lie in the folder 'wildcards'"),
        ("__a/../../b__", "can't lie in the folder 'wildcards'"),
        ("__.hidden__", "can't lie in the folder 'wildcards'"),
        ("__C:\\x__", "can't lie in the folder 'wildcards'"),
        ("x" * 100_001 + "{a|b}", "has 100,006 characters; at most 100,000 are allowed"),
    ],
)
def test_choices_that_can_not_be_read_say_where_and_why(template: str, message: str) -> None:
    files: dict[str, Any] = {
        "colours": "red", "loop": "a\nx __pool__", "pool": "__loop__", "empty": "# nothing\n\n", "latin": b"caf\xe9",
        "wide": "red".encode("utf-16"), "bad": "fine\n{a|b", "long": "x" * 5_000_000,
        "many": "\n".join(map(str, range(200_001))),
        **{f"double{n}": f"__double{n + 1}__ __double{n + 1}__" for n in range(30)}, "double30": "a",
    }  # fmt: skip
    began = time.process_time()
    said = refusal({"template": template, "id": "v"}, {f"wildcards/{name}.txt": data for name, data in files.items()})
    assert message in said
    assert len(said) < 4000
    assert time.process_time() - began < 5


def test_choices_are_texts_where_nobody_asked_for_them() -> None:
    (row,) = rows({"axes": {"a": ["x"]}, "template": "{a} __list__ {{b}}", "wildcards": False})
    assert row["prompt"] == "x __list__ {b}"
    with pytest.raises(ManifestError, match=r"holds '\{b\|c\}'"):
        rows({"axes": {"a": ["x"]}, "template": "{b|c}", "wildcards": False})
    made = rows({"axes": {"a": ["__list__", "{cat}"]}, "template": "{a}, {b|c}"})
    assert [row["prompt"] for row in made] == ["__list__, b", "__list__, c", "{cat}, b", "{cat}, c"], "values are texts"


def test_a_row_with_wildcards_draws_one_of_each_by_its_name_and_seed() -> None:
    colours = {"wildcards/colours.txt": "\n".join(f"colour {n}" for n in range(50))}
    videos = [{"video_id": f"v{n}", "prompt": "{a|b} __colours__", "wildcards": True} for n in range(20)]
    good, bad = built({"videos": videos}, colours)
    assert not bad
    assert len({row["prompt"] for row in good}) > 10
    assert all(re.fullmatch(r"[ab] colour \d+", row["prompt"]) for row in good)
    again, _ = built({"defaults": {"wildcards": True}, "videos": videos[5:]}, colours)
    assert again == good[5:], "rows before change nothing"
    other, _ = built({"videos": [{**videos[5], "seed": 9}]}, colours)
    assert other[0]["prompt"] != good[5]["prompt"]

    lines = "\n".join(map(json.dumps, videos))
    assert [it.row.prompt for it in build(lines, "jsonl", "n.jsonl", Folder(colours))] == [it["prompt"] for it in good]  # type: ignore[union-attr]
    cells = "video_id,prompt,wildcards\n" + "".join(f"{it['video_id']},{it['prompt']},TRUE\n" for it in videos)
    assert [it.row.prompt for it in build(cells, "csv", "n.csv", Folder(colours))] == [it["prompt"] for it in good]  # type: ignore[union-attr]


def test_many_rows_with_choices_are_many_texts_and_one_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wildcards, "_MOST_OPTIONS", 10)
    files = Counted({"wildcards/colours.txt": "red\ngreen"})
    videos = [
        {"video_id": f"v{n}", "prompt": f"{{a|b|c}} __{'colours' if n % 2 else 'nothing'}__", "wildcards": True}
        for n in range(20)
    ]
    results = list(build(json.dumps(videos), "yaml", "night.yaml", files))
    assert sum(isinstance(it, GoodRow) for it in results) == 10
    assert files.reads == ["wildcards/nothing.txt", "wildcards/colours.txt"]


class Counted(Folder):
    """Files of which is noted what was read."""

    def __init__(self, files: dict[str, Any]) -> None:
        super().__init__(files)
        self.reads: list[str] = []

    def read(self, path: str, *, within: bool = False) -> bytes | None:
        self.reads.append(path)
        return super().read(path, within=within)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "{a|b", "wildcards": True}, "prompt opens a brace at character 1 that is never closed"),
        ({"prompt": "{a}", "wildcards": True}, "prompt holds '{a}' at character 1, which is no choice; write '{a|b}'"),
        ({"prompt": "__x__", "wildcards": True}, "there is no list 'wildcards/x.txt'"),
        ({"prompt": "x", "wildcards": "maybe"}, "wildcards is 'maybe'; allowed: true or false"),
        ({"prompt": "x", "wildcards": 1}, "wildcards is '1'; allowed: true or false"),
    ],
)
def test_wildcards_that_are_wrong_cost_their_row(row: dict[str, Any], message: str) -> None:
    good, (problem,) = built([{"video_id": "v", **row}, {"video_id": "w", "prompt": "y", "wildcards": False}])
    assert [it["video_id"] for it in good] == ["w"]
    assert message in str(problem)
    assert "(item 1, video 'v', night.yaml)" in str(problem)


# --- samples ----------------------------------------------------------------------------------------------------------

SPACE = {"axes": {"a": ["p", "q"], "steps": [1, 2]}, "template": "{a} {9::x|1::y|z} {1-2$$k|l}", "id": "v"}


PINNED = [("q x l", 1), ("p y k, l", 2), ("p y k, l", 1), ("p x k", 2)]


def sampled(count: int, seed: int = 0, **other: Any) -> list[tuple[str, int]]:
    made = rows({**SPACE, "mode": "sample", "count": count, "seed": seed, **other})
    return [(row["prompt"], row["steps"]) for row in made]


def test_a_sample_repeats_nothing_until_all_are_drawn() -> None:
    every = [(row["prompt"], row["steps"]) for row in rows(SPACE)]
    assert len(set(every)) == len(every) == 2 * 2 * 3 * 3
    for seed in range(5):
        drawn = sampled(36, seed)
        assert sorted(drawn) == sorted(every)
        assert drawn != every


def test_a_sample_is_the_same_for_ever_and_grows_at_its_end() -> None:
    assert sampled(36, 3)[:10] == sampled(10, 3)
    assert sampled(10, 3) != sampled(10, 4)
    assert sampled(4, 3) == PINNED, "pinned: it must never change"


def test_weights_say_how_often() -> None:
    made = rows(
        {"axes": {"seed": list(range(10_000))}, "template": "{8::x|1::y|1::z}", "mode": "sample", "count": 2000}
    )
    share = sum(row["prompt"] == "x" for row in made) / 2000
    assert 0.76 < share < 0.84


def test_few_of_more_than_anybody_could_count() -> None:
    words = {f"wildcards__w{n}.txt": "\n".join(f"{n}-{word}" for word in range(500)) for n in range(20)}
    template = " ".join(f"__w{n}__" for n in range(20))
    began = time.process_time()
    made = rows({"template": template, "id": "v", "mode": "sample", "count": 500}, **words)
    assert len({row["prompt"] for row in made}) == 500
    assert time.process_time() - began < 20


def test_a_weight_that_outdoes_all_others_hinders_no_sample() -> None:
    template = "{1000000::" + "|".join(f"w{n}" for n in range(3000)) + "} {2$$1000000::a|b|c}"
    began = time.process_time()
    made = rows({"template": template, "id": "v", "mode": "sample", "count": 9000})
    assert len({row["prompt"] for row in made}) == 9000
    assert time.process_time() - began < 20


# --- what blocks cost together ----------------------------------------------------------------------------------------


def test_blocks_together_are_counted_before_a_row_is_made() -> None:
    axes = {"a": [f"a{number}" for number in range(1000)], "b": [f"b{number}" for number in range(700)]}
    began = time.process_time()
    said = refusal([{"axes": axes}] * 50)
    assert "night.yaml, expand block 2: the blocks of expand up to this one make 1,400,000 rows; at most" in said
    assert "in one source: split it" in said
    assert time.process_time() - began < 3


def test_a_block_of_which_no_row_is_good_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_source, "_HOPELESS", 50)
    hopeless = {"axes": {"a": [f"a{number}" for number in range(1000)]}, "set": {"width": -1}}
    mixed = {"axes": {"width": [-1] * 49 + [64] + [-1] * 50}, "set": {"prompt": "x"}, "id": "w"}
    good, bad = built({"videos": [{"video_id": "first", "prompt": "x"}], "expand": [hopeless, mixed]})
    assert [row["video_id"] for row in good] == ["first", "w-50"], "and all that is good is made"
    (given_up,) = [it for it in bad if "given up" in it.message]
    assert len(bad) == 50 + 1 + 99
    assert str(given_up).startswith(
        "expand block 1 was given up: not one of its first 50 rows is good; the other 950 were not made. The last one: "
        "width is -1"
    )
    counted = Listed()
    for problem in bad:
        counted.add(problem)
    assert counted.problems.kinds["expand block 1 was given up"] == 1
