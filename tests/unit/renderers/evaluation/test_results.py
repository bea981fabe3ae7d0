"""From ranks to shares, intervals, tables and sheets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from renderers.evaluation.metrics import PairMetrics, Retrieval, Swap
from renderers.evaluation.prompts import EvaluationPrompt
from renderers.evaluation.report import contact_sheet, document, recognition_table, summary, write_report
from renderers.evaluation.results import Evaluation, PictureResult, ceiling, judged, recognition

PROMPTS = (
    EvaluationPrompt("a red apple on a blue background", "apple", "red", "blue"),
    EvaluationPrompt("a dog", "dog"),
)
KEYS = [(0, 0), (0, 1), (1, 0), (1, 1)]


def scene(thing: tuple[float, ...], ground: tuple[float, ...]) -> torch.Tensor:
    picture = torch.tensor(ground).view(3, 1, 1).repeat(1, 32, 32)
    picture[:, 8:24, 8:24] = torch.tensor(thing).view(3, 1, 1)
    return picture


RED, BLUE = (0.86, 0.12, 0.14), (0.16, 0.35, 0.84)
PICTURES = torch.stack([scene(RED, BLUE), scene(BLUE, RED), scene(RED, RED), scene(RED, RED)])


def results(*ranks: int) -> tuple[PictureResult, ...]:
    return judged(KEYS, PICTURES, torch.tensor(ranks), PROMPTS)


def evaluation() -> Evaluation:
    found = recognition("the model", results(1, 3, 9, 1))
    metrics = PairMetrics(
        {"training": 24.0, "openmoji": 22.5}, 0.81, 600, {"still": 4.7, "moved": 7.04},
        {s: Retrieval(0.9, 0.99, 600, 261) for s in ("training", "openmoji")},
        {s: Retrieval(0.8, 0.9, 600, 100) for s in ("training", "openmoji")},
        {s: {"colour": Swap(0.95, 600)} for s in ("training", "openmoji")},
    )  # fmt: skip
    top = ceiling("styles it never saw, reconstructed", torch.tensor([1, 1, 1, 2, 8]))
    return Evaluation("m", "f" * 64, (0.01, 0.05), (top,), {"seconds": 9}, (found,), metrics, {"the model": 8.25})


def test_colour_and_background_are_asked_of_prompts_that_say_them() -> None:
    first, second, third, _ = results(1, 1, 1, 1)
    assert (first.colour_obeyed, first.background_found, first.background_obeyed) == (True, "blue", True)
    assert (second.colour_obeyed, second.background_found, second.background_obeyed) == (False, "red", False)
    assert (third.colour_obeyed, third.background_obeyed) == (None, None)


def test_shares_count_places_up_to_one_and_up_to_five() -> None:
    found = recognition("the model", results(1, 3, 9, 1))
    assert (found.top1, found.top5, found.pictures, found.seeds) == (0.5, 0.75, 4, (0, 1))
    assert (found.colours_obeyed, found.colours_asked) == (0.5, 2)
    assert (found.backgrounds_obeyed, found.backgrounds_asked) == (0.5, 2)


def test_intervals_are_over_prompts_not_pictures() -> None:
    # one prompt always hits, one never: over prompts the share may be anything, though 4 pictures say one half
    found = recognition("the model", results(1, 1, 50, 50))
    assert found.top1_interval == (0.0, 1.0)
    alike = recognition("the model", results(1, 50, 1, 50))
    assert alike.top1_interval == (0.5, 0.5)


def test_the_table_puts_shares_beside_the_ceiling() -> None:
    _, rows = recognition_table(evaluation())
    assert rows[0][2].startswith("50 %")
    assert rows[0][4:6] == ("0.83", f"{0.75 / 0.8:.2f}")


def test_the_report_holds_every_prompt_and_every_picture(tmp_path: Path) -> None:
    paths = {}
    for key, picture in zip(KEYS, PICTURES, strict=True):
        paths[key] = tmp_path / f"{key[0]}-{key[1]}.png"
        pixels = (picture * 255).to(torch.uint8).permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(paths[key])
    written = write_report(tmp_path / "report", evaluation(), {"the model": paths}, PROMPTS)
    assert [path.name for path in written] == ["report.md", "report.json", "sheet-the-model.webp"]
    text = written[0].read_text()
    assert "| a red apple on a blue background | 1, 3 | 1/2 | 1/2 |" in text
    assert "| a dog | 9, 1 |  |  |" in text
    assert "![all pictures, the model](sheet-the-model.webp)" in text
    with Image.open(written[2]) as sheet:
        assert sheet.format == "WEBP"


def test_the_figures_can_be_computed_again_from_the_json() -> None:
    text = document(evaluation(), PROMPTS)
    data = json.loads(text)
    assert data["recognitions"] == json.loads(json.dumps(summary(evaluation())["recognitions"]))
    assert [line["prompt"] for line in data["prompts"]] == [prompt.prompt for prompt in PROMPTS]
    apple, dog = (line["the model"] for line in data["prompts"])
    assert apple == {"places": [1, 3], "colours": [True, False], "backgrounds": ["blue", "red"]}
    assert dog == {"places": [9, 1], "backgrounds": ["red", "red"]}
    assert sum('"places"' in line for line in text.splitlines()) == len(PROMPTS)


def test_a_sheet_of_very_many_seeds_is_wide_rather_than_too_tall_for_its_format(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "white").save(tmp_path / "x.png")
    keys = [(number, seed) for number in range(30) for seed in range(60)]
    many = tuple(PictureResult(*key, 1, None, "white", None) for key in keys)
    prompts = [EvaluationPrompt("a dog", "dog")] * 30
    sheet = contact_sheet(recognition("m", many), dict.fromkeys(keys, tmp_path / "x.png"), prompts)
    assert sheet.height <= 16_383
    assert sheet.width == 15 * (96 + 2 * 3 + 4)


@pytest.mark.parametrize(("key", "mark"), [((0, 0), (30, 160, 60)), ((0, 1), (230, 170, 20)), ((1, 0), (205, 45, 45))])
def test_the_sheet_frames_a_picture_by_its_rank(tmp_path: Path, key: tuple[int, int], mark: tuple[int, ...]) -> None:
    paths = dict.fromkeys(KEYS, tmp_path / "x.png")
    Image.new("RGB", (32, 32), "white").save(tmp_path / "x.png")
    sheet = contact_sheet(recognition("m", results(1, 3, 9, 1)), paths, PROMPTS)
    cell, text = 96 + 2 * 3, 2 * 14
    assert sheet.getpixel((key[0] * (cell + 4) + 1, text + key[1] * cell + 50)) == mark
