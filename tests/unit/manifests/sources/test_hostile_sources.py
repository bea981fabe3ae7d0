"""Sources that hurt once: each costs what is wrong with it, a row or a file, in bounded time and memory."""

from __future__ import annotations

import io
import json
import re
import time
import tracemalloc
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
import yaml

from manifests.building import build, kind_of
from manifests.results import GoodRow, ManifestError, RowProblem
from manifests.sources import yaml_source
from manifests.sources.expanding import expand


def results(source: str | Path, kind: str | None = None) -> tuple[list[str], list[RowProblem]]:
    """The ids of the good rows, and the problems."""
    text = source.read_text(encoding="utf-8") if isinstance(source, Path) else source
    good, bad = [], []
    for result in build(text, kind or kind_of(source.name), "source"):  # type: ignore[arg-type, union-attr]
        if isinstance(result, GoodRow):
            good.append(result.row.video_id)
        else:
            bad.append(result)
    return good, bad


@pytest.mark.parametrize(
    ("file", "good", "problem"),
    [
        ("yaml_bad_date.yaml", ["b"], r"prompt can't be read \(month must be in 1..12, line 1, column 25\)"),
        ("yaml_bad_int.yaml", [], r"prompt can't be read \(it is not what its tag says, line 1, column 25\)"),
        ("yaml_list_key.yaml", [], r"the item can't be read \(a key is a list or a block, line 1, column 3\)"),
        ("jsonl_prompt_surrogate.jsonl", ["b"], r"prompt holds half of a character at character 3"),
        ("../lone_surrogate.jsonl", ["ok"], r"prompt holds half of a character at character 3.*\(line 2, video 'bad'"),
    ],
)
def test_a_bad_value_costs_its_row(cases: Path, file: str, good: list[str], problem: str) -> None:
    found, (bad,) = results(cases / "hostile" / file)
    assert found == good
    assert re.search(problem, str(bad)), bad


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("!!float x", "prompt can't be read"),
        ("!!python/object:os.system x", "could not determine a constructor for the tag"),
        ('!!binary "@@"', "nothing stands between the separators"),
        ("!!timestamp x", "prompt can't be read (it is not what its tag says"),
        ("99999999999999999999-01-01", ""),
        ("0x" + "f" * 6000, "prompt can't be read (a whole number of 6,002 digits, line 1"),
        ("-0b" + "1" * 20_000, "prompt can't be read (a whole number of 20,003 digits"),
        ("1" * 5000, "prompt can't be read (Exceeds the limit"),
        ("[0x" + "f" * 6000 + "]", "prompt can't be read (a whole number of 6,002 digits, line 1"),
        ("*b", "its aliases unfold to more than 1,000,000 values"),
    ],
)
def test_what_yaml_cannot_make_costs_its_video(value: str, message: str) -> None:
    anchor = "- &b {video_id: first, prompt: x, loss: *b}\n" if value == "*b" else ""
    good, bad = results(f"{anchor}- {{video_id: a, prompt: {value}}}\n- {{video_id: fine, prompt: x}}\n", "yaml")
    assert "fine" in good
    assert not message or any(message in str(it) for it in bad), bad


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "- " * 100_000, "? " * 50_000, "{a: " * 50_000, "- - [{a: " + "[" * 9000]
)
def test_depth_is_bounded(text: str) -> None:
    began = time.process_time()
    with pytest.raises(ManifestError, match=r"source line 1: nested too deeply"):
        results(text, "yaml")
    assert time.process_time() - began < 5
    _, bad = results('{"video_id": "a", "prompt": ' + "[" * 100_000, "jsonl")
    assert "not valid JSON" in str(bad[0])


def test_keys_that_collide_are_bounded() -> None:
    keys = ", ".join(f"{number * (2**61 - 1)}: 1" for number in range(20_000))
    began = time.process_time()
    block = f"{{video_id: a, prompt: x, {keys}}}"
    good, (bad,) = results(f"- {block}\n- {{video_id: b, prompt: x}}", "yaml")
    assert good == ["b"]
    assert "more than 1,000 keys" in str(bad)
    with pytest.raises(ManifestError, match=r"source line 1: .*more than 1,000 keys"):
        results(f"defaults: {block}\nvideos: []", "yaml")
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (rb'"a \ud83d b"', r"prompt holds half of a character at character 3"),
        (b'"a \x00 b"', r"prompt can't be read \(it holds the control character U\+0000, line 2, column 25\)"),
        (b"a \x1b31m b", r"the control character U\+001B, line 2"),
        (b"caf\xe9", r"prompt holds half of a character at character 4.*its file is not UTF-8"),
        (b"{? \x01 : b}", r"the control character U\+0001, line 2"),
    ],
)
def test_a_character_that_yaml_forbids_costs_its_video(value: bytes, message: str) -> None:
    before, after = b"- {video_id: a, prompt: x}\n", b"- {video_id: c, prompt: x}  # caf\xe9\n"
    found = list(build(io.BytesIO(before + b"- {video_id: b, prompt: " + value + b"}\n" + after), "yaml"))
    assert [it.row.video_id for it in found if isinstance(it, GoodRow)] == ["a", "c"]
    (bad,) = (str(it) for it in found if isinstance(it, RowProblem))
    assert re.search(message, bad), bad
    bad.encode()


@pytest.mark.parametrize(
    ("value", "prompt"),
    [(r'"\ud83d\ude00 \\\\ud83d"', "\U0001f600 \\ud83d"), (r"'\ud83d'", "ud83d"), ('"\ue000" # \x07\n', "\ue000")],
)
def test_characters_in_two_halves_are_one_and_other_texts_stay(value: str, prompt: str) -> None:
    (row,) = build(f"- {{video_id: a, prompt: {value}}}", "yaml")
    assert isinstance(row, GoodRow), row
    assert row.row.scenes[0].prompts[0].text == prompt


def test_many_values_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_source, "_MOST_NODES", 1_000)  # a million takes seconds
    with pytest.raises(ManifestError, match="more than 1,000 values; split it, or write JSONL"):
        results("- x\n" * 1_000, "yaml")
    assert len(results("- x\n" * 999, "yaml")[1]) == 999


class Endless(io.RawIOBase):
    """A line of any length, made as it is read, and what comes before and behind it."""

    def __init__(self, before: bytes, line: bytes, times: int, behind: bytes) -> None:
        self._parts = (part for many in ([before], repeat(line, times), [behind]) for part in many)
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._left = self._left or next(self._parts, b"")
        data, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_line_without_end_is_refused_unread_and_those_behind_it_are_read(kind: Any) -> None:
    good = [b'{"video_id": "a", "prompt": "x"}\n', b'{"video_id": "b", "prompt": "x"}\n']
    if kind == "csv":
        good = [b"video_id,prompt\na,x\n", b"b,x\n"]
    source = io.BufferedReader(Endless(good[0], b"[]," * 100_000, 300, b"\n" + good[1]))
    tracemalloc.start()
    try:
        first, bad, last = build(source, kind)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 30_000_000
    assert isinstance(first, GoodRow)
    assert isinstance(last, GoodRow)
    assert last.number - first.number == 2
    assert re.search(r"9[01],\d+,\d+ characters", str(bad))
    assert f"(line {first.number + 1}," in str(bad)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('"prompts": [' + "[]," * 150_000 + "1]", "prompts brings the row to more than 100,000 values"),
        ('"cutouts": {' + ",".join(f'"k{number}": 1' for number in range(2000)) + "}", "an object has 2,000 keys"),
        ('"prompts": [' + "[]," * 300_000 + "1]", "it has 600,004 commas and brackets, and may have 400,000"),
        (",".join(f'"k{number}": 1' for number in range(2000)), "an object has 2,002 keys, and may have 1,000"),
        ('"image_prompts": [' + '[[["x"]]],' * 30_000 + "1]", "image_prompts brings the row to more than 100,000"),
    ],
)
def test_values_of_a_line_are_bounded_before_each_is_looked_at(line: str, message: str) -> None:
    good, (bad,) = results(f'{{"video_id": "a", "prompt": "x", {line}}}\n{{"video_id": "b", "prompt": "x"}}', "jsonl")
    assert good == ["b"]
    assert message in str(bad)


def test_a_long_yaml_is_refused_before_it_is_parsed() -> None:
    source = io.BufferedReader(Endless(b"- {video_id: a, prompt: ", b"x" * 1_000_000, 100, b"}\n"))
    with pytest.raises(ManifestError, match=r"longer than 16,000,000 bytes, the most that is read of YAML; split it"):
        list(build(source, "yaml"))
    with pytest.raises(ManifestError, match="longer than 16,000,000"):
        list(build("- " + "x" * 16_000_000, "yaml"))


def test_a_bomb_of_aliases_is_refused_in_a_line(cases: Path) -> None:
    with pytest.raises(ManifestError) as caught:
        results(cases / "hostile/config_bomb.yaml")
    assert len(str(caught.value)) < 300


def test_a_value_that_is_broken_again_has_its_own_reason() -> None:
    _, bad = results(f"- {{video_id: a, prompt: {'1' * 5000}}}\n" * 2, "yaml")
    assert ["Exceeds the limit" in str(it) for it in bad] == [True, True]


def test_aliases_are_bounded_over_all_videos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_source, "_MOST_UNFOLDED", 2_000)
    anchors = f"- &a {{video_id: a, prompt: &b [{'x,' * 900}]}}\n"
    many = "".join(f"- {{video_id: b{number}, prompt: *b}}\n" for number in range(5))
    good, bad = results(f"{anchors}{many}- {{video_id: c, prompt: x}}\n", "yaml")
    assert good == []
    assert ["unfold to more than 2,000 values by aliases" in str(it) for it in bad] == [False] * 2 + [True] * 5
    shared = "- &a {video_id: a, prompt: x, frames: 2}\n"
    many = "".join(f"- {{<<: *a, video_id: b{number}}}\n" for number in range(500))
    assert len(results(shared + many, "yaml")[0]) == 501


@pytest.mark.parametrize(
    "block",
    ["subjects: [" + "x," * 900 + "]\n  styles: [" + "y," * 60 + "]\n  id: x", "subjects: [" + "a," * 20_000 + "]"],
    ids=["one id", "one subject"],
)
def test_many_equal_ids_of_a_block_are_numbered_in_no_time(block: str) -> None:
    made = yaml.safe_load(f"  {block}\n")
    began = time.process_time()
    ids = [row.values["video_id"] for row in expand(made, "here")]
    assert time.process_time() - began < 10
    assert len(set(ids)) == len(ids) == len(made["subjects"]) * len(made.get("styles", "x"))
    assert [it.rpartition("-")[2] for it in ids[1:3]] == ["2", "3"]


def test_numbers_of_equal_ids_pass_over_those_that_are_taken() -> None:
    rows = expand({"subjects": ["a-2", "a", "a", "a", "a-2"]}, "here")
    assert [row.values["video_id"] for row in rows] == ["a-2", "a", "a-3", "a-4", "a-2-2"]


def test_a_block_that_stands_for_more_text_than_anybody_reads_is_refused() -> None:
    block = {"subjects": ["x" * 200_000], "styles": ["y"] * 5000}
    with pytest.raises(ManifestError, match="expand makes 5,000 rows of up to 400,005 characters"):
        next(expand(block, "here"))
    assert sum(1 for _ in expand({**block, "styles": ["y"] * 1000}, "here")) == 1000


def test_numbers_in_base_60_are_texts() -> None:
    (row,) = build("- {video_id: a, prompt: clock, zoom: 12:30}", "yaml")
    assert isinstance(row, GoodRow)
    assert row.row.zoom == "12:30", "the number 750 is what nobody wrote"


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("a red apple, aspect 16:9", r"'16:9' would be read as '16' of weight 9: write '16\\:9' if it is part"),
        ("a clock at 12:00", r"'12:00' would be read as '12' of weight 00"),
        ("John 3:16", "'3:16' would be read as '3' of weight 16"),
        ("at 12:30:45", r"write '12\\:30\\:45' if it is part of the text"),
        ("Apollo: 13", r"': 13' would be read as the weight 13"),
        ("a | b: 2 | c", r"': 2' would be read as the weight 2"),
        ("apple:0", "all prompts of the scene at frame 0 have the weight 0"),
        ("0: a | 12: b:0", "all prompts of the scene at frame 12 have the weight 0"),
        ("0: (Apple: 1| Orange: 0), 20: (Apple: 0| Orange: 1)", "write '0: Apple | Orange:0 | 20: Apple:0 | Orange'"),
        ('{"0": "a bunny --neg photo", "30": "a cat"}', "write '0: a bunny | photo:-1 | 30: a cat'"),
        ('{"0":"a","30":"b"}', "write '0: a | 30: b'"),
        ('{0: "a cat", 30: "a dog",}', "write '0: a cat | 30: a dog'"),
        ("{'0': 'a cat', '30': 'a dog'}", "write '0: a cat | 30: a dog'"),
        ('{"0": ["a cat"], "30": ["a dog"]}', "write '0: a cat | 30: a dog'"),
        ('"0": "a cat", "30": "a dog"', "write '0: a cat | 30: a dog'"),
        ('0: "apple", 20: "orange"', "write '0: apple | 20: orange'"),
        ("0: a cat, 20: a dog", "write '0: a cat | 20: a dog'"),
        ("0:a cat,20:a dog", "write '0: a cat | 20: a dog'"),
        ("0: a cat\n20: a dog\n", "write '0: a cat | 20: a dog'"),
        ("{0: (Apple: 1)}", "write 'Apple'"),
        ("0: (Apple: 1| Pear: 0) 20: (Pear: 1)", "write '0: Apple | Pear:0 | 20: Pear'"),
        ("0: (Apple: 1| Pear: 0), 20: (Pear: 1) as a drawing", "write '0: dawn | 120: night'"),
        ('{"0": "a", "max_f-1": "b"}', "write '0: dawn | 120: night'"),
        ('["a cat", "a dog"]', "a list is not read: write 'a cat | a dog'"),
        ("a cat --neg photo", "write 'a cat | photo:-1'"),
        ("0: a cat --neg blur | 9: a dog", "write '0: a cat | blur:-1 | 9: a dog'"),
        ("a {red {big|small}|blue} house", "'{big|small}' is cut at its '|'"),
        ("a cat --ar 16:9", "'--ar 16:9' is a flag of another tool"),
        ("a cat --no blur --v 6.1 --stylize 250", "'--v 6.1' is a flag of another tool"),
        ("a (cat:1.3) in a hat", r"'\(cat:1\.3\)' is a weight of another tool: write 'cat:1\.3'"),
        ("[cat:dog:0.5]", r"'\[cat:dog:0\.5\]' is a weight of another tool: write"),
        ("hot dog::2 bun", "'::2' is a weight of another tool: write ':2'"),
        ("a picture in 16:9.", r"'16:9\.' would be read as '16' of weight 9"),
        ("film in 1:1.85", r"write '1\\:1.85' if it is part"),
        ("a lap in 2:03.5", r"write '2\\:03.5' if it is part"),
        ("score 3:-2", r"write '3\\:-2' if it is part"),
        ("Apollo:\u00a013", "': 13' would be read as the weight 13"),
        ("a: 5 :6", "': 5' would be read as the weight 5"),
        ("a:5: 6", "': 6' would be read as the stop 6"),
        ("0:30 in a film", r"'0:30' would be read as '30' from frame 0 on: write '0\\:30' if it is part"),
        ("00:00 midnight", "'00:00' would be read as '00' from frame 0 on"),
        ("0: a | 12:30 in paris", "'12:30' would be read as '30' from frame 12 on"),
        (
            "a castle. Negative prompt: ugly",
            "'Negative prompt:' of other tools is not read: write 'text | unwanted:-1'",
        ),
        ("a castle\nSteps: 20, Sampler: Euler a, CFG scale: 7", "'Steps: 20, Sampler:' of other tools is not read"),
        ("a castle \u2014v 6", "'\u2014v 6' is a flag of another tool"),
        ("a castle \u2013ar 3:2", "'\u2013ar 3:2' is a flag of another tool"),
        ("a cat --steps 50", "'--steps 50' is a flag of another tool"),
        ("a cat --width 512 --height 512", "'--width 512' is a flag of another tool"),
        ("a cat --style raw", "'--style raw' is a flag of another tool"),
        ('{"3": {"class_type": "KSampler", "inputs": {"seed": 5}}}', "JSON is not read: write the text itself"),
        ('{"prompts": {"0": "a cat", "30": "a dog"}}', "JSON is not read: write the text itself"),
        ('["a cat:3", "a dog:-1"]', "a list is not read: write 'a cat:3 | a dog:-1'"),
        ('{0: ["a cat:3", "dog:-1"], 100: ["x"]}', "write '0: a cat:3 | dog:-1 | 100: x'"),
        ("x " * 4000 + "|" + "y " * 4000 + "at 12:05", "'12:05' would be read as '12' of weight 05"),
    ],
)
def test_a_prompt_that_means_something_else_is_refused_with_its_spelling(prompt: str, message: str) -> None:
    good, (bad,) = results(json.dumps({"video_id": "a", "prompt": prompt, "frames": 200}), "jsonl")
    assert not good
    assert re.search(message, str(bad)) or message in str(bad), bad
    if (spelling := re.search(r"not read: write '(.*?)'(?=[ ,;]|$)", str(bad))) is not None:
        assert results(json.dumps({"video_id": "a", "prompt": spelling[1], "frames": 200}), "jsonl")[0] == ["a"]


@pytest.mark.parametrize(
    "prompt",
    ["Star Wars: Episode 4", "1984:0.5", "route 66:0.5", "apple:2 | pear:-1", "a:0 | b", "0: a | 120: b:2", r"12\:00",
     "0: a at dawn | 16: b", "text:0.5:0.3", "12 :2", "apple:2:1", "route 66:1.5", "a cat (small) | [a dog]:2",
     "0: apple | 5: pear", "a list: one, 2: two", '0: "apple" | 5: "pear"', '0: "apple" on a table', r"\[cat\|dog\]",
     "0: (a cat) sleeps | 9: it wakes, 10: never", "0: noon, at 5 | b", "a [cat", "--nothing", "{a: b}", r"\7:5",
     "[cat|dog] in a hat", "a sign (open | closed)", 'a poster that says "50% | off"', "cats AND dogs",
     "a note: stay out --no exceptions", "--v", "chapter --seven 7", "0: 3 apples", r"0\:30 in a film",
     "a dash \u2014 and 5 more", "steps: two of them"],
)  # fmt: skip
def test_prompts_as_people_mean_them_pass(prompt: str) -> None:
    assert results(json.dumps({"video_id": "a", "prompt": prompt, "frames": 200}), "jsonl")[0] == ["a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a cat --ar 16:9", "'--ar 16:9' is a flag of another tool"),
        ("a cat --neg blur", "'--neg' of other tools is not read"),
        ('{"0": "a cat", "30": "a dog"}', "a story as Deforum's settings have it is not read"),
        ("a castle. Negative prompt: ugly", "'Negative prompt:' of other tools is not read"),
    ],
)
def test_texts_of_scenes_are_looked_at_as_well(text: str, message: str) -> None:
    """The column `prompts` needs no grammar; what other tools write there was drawn."""
    row = {"video_id": "a", "frames": 9, "prompts": [{"at": 0, "prompts": [{"text": "a"}, {"text": text}]}]}
    good, (bad,) = results(json.dumps(row), "jsonl")
    assert not good
    assert bad.column == "prompts"
    assert message in str(bad)


def test_scenes_of_no_weight_are_refused() -> None:
    """A blank picture came of it, and was called done."""
    nothing = [{"text": "a", "weight": 0}]
    row: dict[str, Any] = {"video_id": "a", "frames": 9}
    row["prompts"] = [{"at": 0, "prompts": [{"text": "a clock at 12:00"}]}, {"at": 5, "prompts": nothing}]
    _, (bad,) = results(json.dumps(row), "jsonl")
    assert "all prompts of the scene at frame 5 have the weight 0" in str(bad)
    row["image_prompts"] = [{"image": "a.png"}]
    assert results(json.dumps(row), "jsonl")[0] == ["a"]
