"""Settings of other tools, written by hand in every dialect, against the YAML that they come to; and what holds of
all."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from manifests.building import build
from manifests.importing.account import FATES
from manifests.importing.dialects import DIALECTS
from manifests.importing.documents import mapping_of
from manifests.importing.importing import Result, import_settings
from manifests.importing.source import Wishes
from manifests.results import GoodRow, ManifestError
from manifests.schema import addresses_of
from manifests.schema.source import FoundSource
from renderers.frame_plan.video_plan import VideoPlan
from renderers.registry import Registry

CORPUS = sorted(it for it in (Path(__file__).parent / "corpus").iterdir() if it.suffix != ".golden")
PROMPTS = {"prompts", "scenes", "text_prompts", "prompt_map", "text", "rendered_frames"}
REGISTRY = Registry()


def imported(path: Path, **wishes: object) -> Result:
    return import_settings(path.read_text(), path.name, wishes=Wishes(**wishes))  # type: ignore[arg-type]


def rows_of(found: Result) -> Iterator[GoodRow]:
    for result in build(found.yaml, "yaml", "imported.yaml"):
        assert isinstance(result, GoodRow), str(result)
        yield result


def is_partition(found: Result) -> bool:
    listed = [key for fate in FATES for key in found.account.of(fate)]
    return sorted(listed) == sorted(set(found.keys))


@pytest.mark.parametrize("path", CORPUS, ids=lambda it: it.name)
def test_settings_come_to_the_yaml_that_is_kept_beside_them(path: Path) -> None:
    # written anew by `python -m tests.unit.manifests.importing.golden`, to be looked at before it is committed
    assert imported(path).yaml == path.with_suffix(".golden").read_text()


@pytest.mark.parametrize("path", CORPUS, ids=lambda it: it.name)
def test_what_was_imported_builds_and_plans(path: Path) -> None:
    found = imported(path)
    assert is_partition(found)
    for good in rows_of(found):
        images, row = {it.address: "0" * 64 for it in addresses_of(good.row)}, good.row
        if row.source.video is not None:  # whoever plans it prepares it; here it may show anything
            film = FoundSource(fps=row.source.fps or row.fps, frames="0123456789abcdef" * row.frames)
            row = row.model_copy(update={"source": row.source.model_copy(update={"found": film})})
        plan = VideoPlan.of(row, images, entry=REGISTRY.entry(row.model))
        assert len(list(plan.walk())) == row.frames


@pytest.mark.parametrize("path", CORPUS, ids=lambda it: it.name)
def test_dialects_are_told_apart(path: Path) -> None:
    assert path.name.split(".")[1] == imported(path).dialect


def test_every_dialect_has_settings_here() -> None:
    assert {path.name.split(".")[1] for path in CORPUS} == set(DIALECTS)


@pytest.mark.parametrize("path", CORPUS, ids=lambda it: it.name)
def test_what_a_column_says_is_never_dropped_as_missing(path: Path) -> None:
    found = imported(path)
    columns = {key for good in rows_of(found) for key in good.row.model_fields_set}
    for key, entry in found.account.of("mapped").items():
        column = entry.words.split(";")[0].split(",")[0].split(".")[0].split(" ")[0]
        if column in ("zoom", "angle", "translate_x", "translate_y") and "as without it" not in entry.words:
            assert column in columns, key


SETTINGS = [path for path in CORPUS if path.name.split(".")[1] not in ("nr", "aig")]


@given(st.sampled_from(SETTINGS), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_each_key_of_any_choice_of_keys_is_in_one_list(path: Path, chance: random.Random) -> None:
    values = mapping_of(path.read_text(), path.name)
    kept = {key: it for key, it in values.items() if key in PROMPTS or key.isdecimal() or chance.random() < 0.5}
    if not kept:
        return
    dialect = path.name.split(".")[1]
    found = import_settings(json.dumps(kept), path.name, dialect, Wishes(prompt="a red apple"))
    assert set(found.keys) >= set(kept)
    assert is_partition(found)
    assert all(isinstance(it, GoodRow) for it in build(found.yaml, "yaml", "imported.yaml"))


def test_keys_of_nobody_are_refused_with_the_signs_of_each_dialect() -> None:
    with pytest.raises(ManifestError, match=r"a\.txt: its keys are those of no tool.*--from.*rendered_frames"):
        import_settings('{"steps": 3}', "a.txt")
    with pytest.raises(ManifestError, match=r"there is no dialect 'deform'; did you mean 'deforum'"):
        import_settings("{}", "a.txt", "deform")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "a.txt: nested too deeply|not valid JSON"),
        ('{"a":' * 20_000, "a.txt: nested too deeply|not valid JSON"),
        ("{" + ",".join(f'"{it}": 1' for it in range(500_000)) + "}", "commas and brackets, and may have 400,000"),
        ("{" + ",".join(f'"{it}": 1' for it in range(2_000)) + "}", "keys, and may have 1,000"),
        ("a: &a {b: 1}\nc: *a\nsteps_per_frame: 1", "a.txt line 2: settings have no aliases"),
        ("a: " + "[" * 60_000, "a.txt line 1: settings have at most"),
        ("python generate.py -p 'a", "a.txt line 1: no command line"),
        ("[subjects]\n!WIDTH\n", "a.txt line 2: '!WIDTH' is no setting"),
        ("\n[subjects]\na\n[colours]\n", r"a.txt line 4: '\[colours\]' is no section"),
        ("[subjects]\n" + "a\nb\n" * 1000 + "[styles]\n" + "a\nb\n" * 1000, "4,000,000 combinations"),
        ("a: 1\nb: [2\nc", "a.txt line [34]: not valid YAML"),
        ("{'a': __import__('os').system('x')}", "a.txt: not valid JSON"),
        ("\x00\x01", "a.txt.*not valid YAML"),
        ("", "a.txt: it holds no settings by name, but nothing"),
    ],
    ids=["brackets", "deep", "many", "keys", "alias", "deep yaml", "quote", "directive", "section", "product", "yaml",
         "call", "control", "empty"],
)  # fmt: skip
def test_what_nobody_writes_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(ManifestError, match=said):
        import_settings(text, "a.txt")


def test_a_million_keys_of_a_literal_are_refused_before_they_are_read() -> None:
    with pytest.raises(ManifestError, match=r"characters|commas"):
        import_settings("{" + ",".join(f"'{it}': 1" for it in range(1_000_000)) + "}", "a.txt")


def test_a_prompt_is_what_it_takes_and_may_be_given() -> None:
    text = '{"animation_mode": "2D", "max_frames": 12, "zoom": "0:(1.02)"}'
    with pytest.raises(ManifestError, match=r"a\.txt: it holds no prompt.*--prompt"):
        import_settings(text, "a.txt")
    (good,) = rows_of(import_settings(text, "a.txt", wishes=Wishes(prompt="a red apple")))
    assert good.row.scenes[0].prompts[0].text == "a red apple"


def test_a_model_that_is_asked_for_draws() -> None:
    found = imported(next(it for it in CORPUS if it.name == "reef.pytti.yaml"), model="embedded")
    (good,) = rows_of(found)
    assert good.row.model == "embedded"
    assert "--model embedded instead" in found.account.of("approximated")["vqgan_model"].words


def test_a_picture_that_is_not_there_needs_somebody() -> None:
    found = imported(next(it for it in CORPUS if it.name == "reef.pytti.yaml"), find=lambda _: None)
    assert "'shells.png' is not there: put it beside this file" in found.account.of("needs you")["scenes"].words
    (good,) = rows_of(found)
    assert [it.column for it in addresses_of(good.row)] == ["audio"]


def test_strength_becomes_steps_where_that_is_asked_for() -> None:
    text = '{"animation_mode": "2D", "max_frames": 12, "prompts": {"0": "a"}, "strength_schedule": "0:(0.65)"}'
    assert import_settings(text, "a.txt").account.fate("strength_schedule") == "dropped"
    (good,) = rows_of(import_settings(text, "a.txt", wishes=Wishes(steps_from_strength=True)))
    assert good.row.steps == 25


def test_what_is_dropped_and_would_show_is_told_from_what_is_off() -> None:
    found = imported(next(it for it in CORPUS if it.name == "default.deforum.txt"))
    assert {"diffusion_cadence", "sampler"} <= set(found.lost)
    assert not {"use_mask", "hybrid_motion", "cn_1_enabled", "outdir", "restore_faces"} & set(found.lost)


def test_a_setting_that_is_given_again_before_a_subject_is_accounted_for() -> None:
    text = "[subjects]\n!WIDTH = 384\n!WIDTH = 512\na reef\n!HEIGHT = 384\n"
    found = import_settings(text, "list.txt", "aig")
    assert is_partition(found)
    assert {"!WIDTH (line 2)", "!HEIGHT (line 5)"} <= set(found.account.of("dropped"))
    assert "!WIDTH (line 3)" not in found.account.of("dropped")


def test_an_option_without_a_text_is_accounted_for() -> None:
    found = import_settings("python generate.py -p 'a reef' -o '' -sd 3", "command line", "nr")
    assert is_partition(found)
    assert any(key.endswith("-o") for key in found.account.of("dropped"))


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        (['generate.py -p "a red apple | blue:.5"'], ["a-red-apple"]),
        (['generate.py -p "a red apple" -o out/fruit.png'], ["fruit"]),
        (['generate.py -p "a lighthouse, at the edge of the world, by nobody in particular ^ a ruin" -zvid'],
         ["a-lighthouse-at-the-edge-of-the-world-by"]),
        (['generate.py -p "\u6d77"', "generate.py -ip a.png"], ["command-line", "command-line-2"]),
        (['generate.py -p "a cat"', 'generate.py -p "a cat" -o a-cat-2.png', 'generate.py -p "a cat"'],
         ["a-cat", "a-cat-2", "a-cat-3"]),
        (["zoom.sh 'a world' Alien 9", "zoom.sh 'a world' Alien 9"], ["Alien", "Alien-2"]),
    ],
)  # fmt: skip
def test_a_command_that_was_typed_is_called_after_its_prompt(commands: list[str], expected: list[str]) -> None:
    wishes = Wishes(find=lambda path: path)
    found = import_settings("\n".join(commands), "command line", "nr", wishes)
    assert re.findall(r"video_id: (\S+)", found.yaml) == expected
    # those of a file after the file
    (first, *_) = re.findall(r"video_id: (\S+)", import_settings(commands[0], "night.sh", "nr", wishes).yaml)
    assert first in ("night", "fruit", "Alien")


@pytest.mark.parametrize(
    ("settings", "column", "words"),
    [
        ({}, "xy", "tile"),
        ({"translation_x": "0:(2)"}, "xy", "tile"),
        ({"zoom": "0:(1.02)"}, None, "tile xy draws pictures without a seam, but with zoom"),
    ],
)
def test_deforums_tiles_are_tiles_where_its_camera_leaves_them_such(
    settings: dict[str, str], column: str | None, words: str
) -> None:
    said = {"prompts": {"0": "a reef"}, "max_frames": 8, "animation_mode": "2D", "border": "replicate", "tiling": True}
    found = import_settings(json.dumps({**said, **settings}), "tiles.txt", "deforum")
    (good,) = rows_of(found)
    assert good.row.tile == (column or "none")
    fate = "mapped" if column else "dropped"
    assert words in found.account.of(fate)["tiling"].words
    if "translation_x" in settings:
        assert good.row.border == "wrap"
        assert "border is refused" in found.account.of("dropped")["border"].words


def test_a_side_that_pytti_leaves_open_is_the_pictures() -> None:
    """By the picture, and the number of pixels, where it begins with one."""
    text = "scenes: a reef\nwidth: -1\nheight: 300\nsteps_per_scene: 100\nanimation_mode: off\n"
    (good,) = rows_of(import_settings(f"{text}init_image: a.png\n", "open.yaml", "pytti"))
    assert (good.row.size_from, good.row.width, good.row.height) == ("init_image", 304, 304)
    (good,) = rows_of(import_settings(f"{text}init_image: ''\n", "open.yaml", "pytti"))
    assert good.row.size_from == "row"


@pytest.mark.parametrize(
    ("overview", "inner", "number", "share"),
    [
        ("[12]*400+[4]*600", "[4]*400+[12]*600", 16, "where(u < 0.4, 0.75, 0.25)"),
        ("[8]*1000", 8, 16, "0.5"),
        ("[0]*200+[6]*800", "[6]*600+[2]*400", 12, "where(u < 0.2, 0, where(u < 0.6, 0.5, 0.75))"),
        ("[x]*3", "[4]*1000", None, "0"),
    ],
)
def test_discos_cutouts_are_its_schedules(overview: str, inner: object, number: int | None, share: str) -> None:
    said = {"text_prompts": {"0": ["a reef"]}, "cutn_batches": 4, "cut_overview": overview, "cut_innercut": inner,
            "cut_icgray_p": "[0.2]*400+[0]*600", "cut_ic_pow": "[1]*1000"}  # fmt: skip
    found = import_settings(json.dumps(said), "cuts.txt", "disco")
    (good,) = rows_of(found)
    assert good.row.cutouts.overview == share
    if number is None:
        assert "can't be read" in found.account.of("dropped")["cut_overview"].words
    else:
        assert good.row.cutouts.number == number
        assert good.row.cutouts.grey == "where(u < 0.4, 0.2, 0)"
    VideoPlan.of(good.row, entry=REGISTRY.entry("embedded"))
