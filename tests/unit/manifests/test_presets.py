"""Named settings: those of the package, and files of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from manifests.checking import check_row
from manifests.own_presets import read_preset
from manifests.results import GoodRow, ManifestError, RowProblem
from manifests.schema import ManifestRow, addresses_of, presets, with_addresses
from manifests.schema.presets import NAMES, shipped_preset

FOLDER = Path(presets.__file__).parent
PEERS = {"nerdyrodent", "crowson", "eleuther-mse", "pytti", "pixray"}


def problem_of(**columns: object) -> RowProblem:
    (result,) = check_row({"video_id": "reef", "prompt": "a fish", **columns}, file="night.yaml", number=3)
    assert isinstance(result, RowProblem)
    return result


def test_those_of_the_package() -> None:
    assert set(NAMES) == {"draft", "fine", "best"} | PEERS


@pytest.mark.parametrize("name", NAMES)
def test_each_is_a_file_as_one_of_ones_own(name: str) -> None:
    read = read_preset((FOLDER / f"{name}.yaml").read_bytes(), name)
    assert read == shipped_preset(name)
    assert read.summary
    assert read.notes


@pytest.mark.parametrize("name", sorted(PEERS))
def test_that_of_another_tool_leaves_nothing_of_a_step_to_the_model(name: str) -> None:
    """A model's own settings are for its own way of drawing: one that stayed would make the tool's another."""
    settings = shipped_preset(name).settings
    row = ManifestRow.model_validate({"video_id": "reef", "prompt": "a fish", **settings})
    assert {"init", "candidates", "steps_first", "steps", "cutouts", "loss", "optimiser"} <= set(settings)
    assert settings["optimiser"].keys() == type(row.optimiser).model_fields.keys()
    assert {"tv", "z_decay", "contrast"} <= settings["loss"].keys()
    cutouts = settings["cutouts"]
    assert {"method", "number", "noise", "flip_probability"} <= cutouts.keys()
    for chance, needed in {
        "affine_probability": {"degrees", "translate", "shear", "border"},
        "perspective_probability": {"perspective"},
        "jitter_probability": {"brightness", "contrast", "saturation", "hue"},
        "erase_probability": {"erase_min", "erase_max", "erase_same"},
    }.items():
        assert chance in cutouts
        assert not cutouts[chance] or needed <= cutouts.keys()


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    problem = problem_of(preset="nerdyrodant")
    assert (problem.column, problem.row) == ("preset", 3)
    assert "did you mean 'nerdyrodent'?" in problem.message
    assert all(name in problem.message for name in NAMES)
    assert "a file that ends in .yaml" in problem.message


def test_a_files_name_is_an_address() -> None:
    (result,) = check_row({"video_id": "reef", "prompt": "a fish", "preset": "looks/mine.yaml"}, file="", number=1)
    assert isinstance(result, GoodRow)
    assert with_addresses(result.row, lambda it: f"/there/{it}").preset == "/there/looks/mine.yaml"
    assert list(addresses_of(result.row)) == []  # no picture
    named = ManifestRow(video_id="reef", prompt="a fish", preset="fine")
    assert with_addresses(named, lambda it: f"/there/{it}") is named


# --- files of one's own -----------------------------------------------------------------------------------------------


def test_a_file_of_ones_own() -> None:
    preset = read_preset(b"summary: soft\nsteps_first: 20\ncutouts.number: 3\nloss: {tv: 2}\nseed: null\n", "mine.yaml")
    assert (preset.name, preset.summary, preset.notes) == ("mine.yaml", "soft", "")
    assert preset.settings == {"steps_first": 20, "cutouts": {"number": 3}, "loss": {"tv": 2}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps_frist: 3", "'steps_frist' is no column of a row; did you mean 'steps_first'?"),
        ("video_id: reef", "a preset can't hold 'video_id': it says how a video is drawn, not what it shows"),
        ("prompt: a fish", "a preset can't hold 'prompt'"),
        ("frames: 3", "a preset can't hold 'frames'"),
        ("preset: fine", "a preset can't hold 'preset'"),
        ("steps_first: many", "steps_first"),
        ("cutouts: {numbr: 3}", "did you mean 'number'?"),
        ("cutouts: {size_min: .9, size_max: .8}", "size_min 0.9 is above size_max 0.8"),
        ("init: image", "a preset can't hold init 'image'"),
        ("- steps: 3", "a preset is a block of columns"),
        ("", "a preset is a block of columns"),
        ("a: [", "not valid YAML"),
        ("a: &x [1]\nb: *x", "line 2: a preset has no aliases"),
        ("a: " + "[" * 9 + "]" * 9, "in blocks of at most 5"),
        ("a: [" + "1," * 3000 + "]", "at most 2,000 values"),
        ("steps: !!timestamp x", "not valid YAML"),
        ("1: 2", "'1' is no column"), ("0: 2", "'0' is no column"), ("false: 2", "'False' is no column"),
        ("\"\": 2", "'' is no column"),
        ("x" * 100_001, "at most 100,000 bytes"),
    ],
)  # fmt: skip
def test_what_is_no_preset_is_refused_with_the_files_name(text: str, said: str) -> None:
    with pytest.raises(ManifestError) as refused:
        read_preset(text.encode(), "mine.yaml")
    assert str(refused.value).startswith("mine.yaml")
    assert said in str(refused.value)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(ManifestError, match=r"mine\.yaml: not valid YAML"):
        read_preset(b"steps: \xff\xfe", "mine.yaml")
