"""A row with a preset is the row that writes its settings out."""

from __future__ import annotations

from typing import Any

import pytest

from manifests.schema import ManifestRow
from manifests.schema.presets import NAMES, Preset, shipped_preset
from renderers.errors import BadInput
from renderers.frame_plan.resolution import fill, preset_for, resolve
from renderers.frame_plan.video_plan import VideoPlan
from renderers.registry import ModelEntry, Registry


def row_of(**columns: Any) -> ManifestRow:
    return ManifestRow.model_validate({"video_id": "reef", "prompt": "a coral reef", "frames": 3, **columns})


def digests(entry: ModelEntry, **columns: Any) -> tuple[str, ...]:
    return tuple(VideoPlan.of(row_of(**columns), {"a.png": "0" * 64}, entry=entry).digests)


@pytest.mark.parametrize("name", NAMES)
def test_it_has_the_digests_of_the_settings(name: str, entry: ModelEntry) -> None:
    written = digests(entry, **shipped_preset(name).settings)
    assert digests(entry, preset=name) == written != digests(entry)


@pytest.mark.parametrize("name", NAMES)
def test_of_the_embedded_pair_too(name: str) -> None:
    embedded = Registry().entry("embedded")
    settings = preset_for(name, embedded).settings
    assert digests(embedded, preset=name) == digests(embedded, **settings)


def test_a_models_own_values_of_a_preset_go_before_the_packages(entry: ModelEntry) -> None:
    own = entry.model_copy(update={"presets": {"draft": {"steps_first": 9, "cutouts": {"number": 2}}}})
    resolved = resolve(row_of(preset="draft"), own)
    assert (resolved.steps_first, resolved.cutouts.number, resolved.optimiser.coarse) == (9, 2, 0.6)
    assert shipped_preset("draft").settings["steps_first"] == 100  # as it was
    assert own.digest == entry.digest


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("presets", {"mine": {"steps": 3}}, "'mine' is none"),
        ("presets", {"draft": {"frames": 3}}, "frames can't be in a preset"),
        ("defaults", {"preset": "draft"}, "preset can't have a default"),
    ],
)
def test_a_models_presets_are_the_packages(field: str, value: Any, said: str, entry: ModelEntry) -> None:
    with pytest.raises(ValueError, match=said):
        ModelEntry.model_validate(entry.model_dump() | {field: value})


def test_the_row_goes_before_its_preset_and_the_preset_before_the_model(entry: ModelEntry) -> None:
    resolved = resolve(row_of(preset="nerdyrodent", steps=7, cutouts={"noise": 0.2}), entry)
    assert (resolved.steps, resolved.steps_first, resolved.width) == (7, 500, 32)
    assert (resolved.cutouts.noise, resolved.cutouts.number, resolved.cutouts.method) == (0.2, 32, "pooled")


def test_a_value_that_equals_the_schemas_default_still_goes_before_the_presets(entry: ModelEntry) -> None:
    assert resolve(row_of(preset="nerdyrodent", steps_first=300), entry).steps_first == 300


def test_a_resolved_row_names_no_preset(entry: ModelEntry) -> None:
    """What lies in storage is planned again by later releases, whose presets may be others."""
    resolved = resolve(row_of(preset="fine"), entry)
    assert resolved.preset is None
    assert "preset" not in resolved.model_fields_set
    assert resolve(resolved, entry) == resolved


def test_a_picture_given_goes_before_a_presets_start(entry: ModelEntry) -> None:
    assert resolve(row_of(preset="nerdyrodent"), entry).init == "tokens"
    assert resolve(row_of(preset="nerdyrodent", init_image="a.png"), entry).init == "image"
    best = [resolve(row_of(preset="best", **start), entry).candidates for start in ({}, {"init_image": "a.png"})]
    assert best == [4, 1]  # of several starts from one picture there is no best
    with pytest.raises(ValueError, match="init is 'tokens'"):
        row_of(preset="nerdyrodent", init_image="a.png", init="tokens")


def test_travel_leaves_a_presets_crossfade(entry: ModelEntry) -> None:
    row = row_of(prompt="0: a | 2: b", travel=True)
    assert fill(row, Preset("mine", "", "", {"crossfade": 5, "steps": 3})).steps == 3


def test_a_value_that_does_not_go_with_the_presets_is_bad_input(entry: ModelEntry) -> None:
    row = row_of(preset="pixray", cutouts={"size_min": 1.2, "size_max": 1.4})
    assert resolve(row, entry).cutouts.size_min == 1.2
    low = Preset("mine", "", "", {"cutouts": {"size_max": 0.5, "size_min": 0.4}})
    with pytest.raises(BadInput, match=r"video 'reef' does not go with the preset 'mine': .*size_min 0.8 is above"):
        fill(row_of(cutouts={"size_min": 0.8}), low)


def test_a_file_that_was_not_read_is_bad_input(entry: ModelEntry) -> None:
    with pytest.raises(BadInput, match=r"the preset '\./mine\.yaml' is a file, which has not been read"):
        resolve(row_of(preset="./mine.yaml"), entry)
