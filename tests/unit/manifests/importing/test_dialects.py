"""What single keys of each dialect come to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from manifests.building import build
from manifests.importing.command_line import commands_of
from manifests.importing.importing import Result, import_settings
from manifests.importing.wording import read_weighted, trailing_weights
from manifests.results import GoodRow, ManifestError
from manifests.schema import Keyframes, ManifestRow, format_prompts


def rows_of(found: Result) -> list[ManifestRow]:
    results = list(build(found.yaml, "yaml"))
    assert all(isinstance(it, GoodRow) for it in results), results
    return [it.row for it in results]  # type: ignore[union-attr]


def row_of(text: str | dict[str, Any], dialect: str | None = None) -> ManifestRow:
    (row,) = rows_of(import_settings(text if isinstance(text, str) else json.dumps(text), "a.txt", dialect))
    return row


# ---- VQGAN-CLIP


def test_phrases_come_in_turns_and_begin_anew() -> None:
    row = row_of("python generate.py -p 'a:2 | b:-1:-.5 ^ c' -zvid -i 100 -zse 10 -cpe 25")
    assert format_prompts(row.scenes) == "0: a:2 | b:-1:-0.5 | 2: c | 5: a:2 | b:-1:-0.5 | 7: c"
    assert (row.frames, row.steps, row.steps_first, row.crossfade) == (10, 10, 10, 0)
    # without -cpe, or of a still, the first alone is drawn there
    assert len(row_of("python generate.py -p 'a ^ c' -zvid -i 100").scenes) == 1
    still = import_settings("python generate.py -p 'a ^ c' -cpe 25 -i 100", "a.txt")
    assert "only the first phrase" in still.account.of("approximated")["-p"].words
    assert rows_of(still)[0].steps_first == 100


def test_its_zoom_begins_when_it_is_told_to() -> None:
    row = row_of("python generate.py -p a -zvid -i 100 -zse 10 -zs 35 -zsx 3")
    zoom, shift = Keyframes.parse(row.zoom, row.timeline), Keyframes.parse(row.translate_x, row.timeline)
    assert [zoom.at(it) for it in (1, 3, 4, 9)] == [1, 1, 0.99, 0.99]  # its default zooms out
    assert [shift.at(it) for it in (3, 4)] == [0, 3]


@pytest.mark.parametrize(
    ("flags", "fps"), [("-vl 2", 10), ("-vl 0.5", 40), ("-vl 0.1", 60), ("-ofps 60 -ifps 12", 12), ("", 10)]
)
def test_its_video_is_as_fast_as_there(flags: str, fps: float) -> None:
    assert row_of(f"python generate.py -p a -zvid -i 200 -zse 10 {flags}").fps == fps


def test_flags_are_read_as_argparse_reads_them() -> None:
    (found,) = commands_of("python ../generate.py -p='a b' --seed=3 -i500 --iter 7 -npw -.5 1 -lr=.2 -zvid x", "a")
    assert found.flags == {"-p": ["a b"], "-sd": ["3"], "-i": ["7"], "-npw": ["-.5", "1"], "-lr": [".2"], "-zvid": []}
    assert found.unknown == ["x"]
    two = commands_of("# python generate.py\npython generate.py \\\n  -p a\n./zoom.sh b c.png 3\necho", "a")
    assert [(it.program, it.line, it.words) for it in two] == [
        ("generate.py", 2, []),
        ("zoom.sh", 4, ["b", "c.png", "3"]),
    ]


def test_nothing_of_a_command_is_run_or_looked_up() -> None:
    found = import_settings('python generate.py -p "$TEXT" -sd $(date) -o `id`', "a.txt")
    assert "names a variable of the shell" in found.account.of("needs you")["-p"].words
    with pytest.raises(ManifestError, match=r"video_styler\.sh restyles a video"):
        import_settings("./video_styler.sh film.mp4", "a.txt")


def test_the_default_prompt_is_drawn_and_said() -> None:
    found = import_settings("python generate.py -i 10", "a.txt")
    assert "Nerdy Rodent" in found.advice[0]
    assert rows_of(found)[0].scenes[0].prompts[0].text == "A cute, smiling, Nerdy Rodent"


def test_models_are_known_by_their_files() -> None:
    known = "python generate.py -p a -conf checkpoints/wikiart_16384.yaml -ckpt checkpoints/wikiart_16384.ckpt"
    assert row_of(known).model == "wikiart-f16-16384"
    mixed = import_settings("python generate.py -p a -conf coco.yaml -ckpt faceshq.ckpt", "a.txt")
    assert "no pair" in mixed.account.of("needs you")["-conf"].words


# ---- pytti


def test_pyttis_weights_stops_and_scenes() -> None:
    row = row_of(
        "scenes: 'a:2*t:-.9 | b || c'\nscene_suffix: ' | text:-1:-.95'\nsteps_per_scene: 100\nsteps_per_frame: 10\n"
        "pre_animation_steps: 10\nanimation_mode: 2D\ninterpolation_steps: 30\n"
    )
    assert [it.at for it in row.scenes] == [0, 10]
    assert row.scenes[0].prompts[0].weight == "2*s"
    assert row.scenes[0].prompts[0].stop == "-0.9"
    assert [it.text for it in row.scenes[1].prompts] == ["c", "text"]
    assert (row.frames, row.crossfade, row.preset) == (20, 3, "pytti")


# ---- Deforum


def test_prompts_of_stable_diffusion_lose_what_only_it_reads() -> None:
    found = read_weighted("a (red:1.3) [fox], <lora:x:1>, (cat:`2*t`) {dog} --neg ugly, (fog:`t`)", lambda it: it)
    assert [(it.text, it.weight, it.stop) for it in found.pieces] == [
        ("a red fox, dog", "1", "-inf"), ("cat", "2*t", "-inf"), ("ugly", "-0.5", "-0.9"), ("fog", "-0.5*(t)", "-0.9"),
    ]  # fmt: skip
    assert len(found.notes) == 4


def test_keys_in_max_f_are_frames() -> None:
    row = row_of(
        {"animation_mode": "2D", "max_frames": 100, "prompts": {"0": "a", "max_f/2": "b", '"max_f-9"': "c", "300": "d"}}
    )
    assert [it.at for it in row.scenes] == [0, 49, 90]


def test_a_schedule_that_cannot_be_read_is_dropped_with_its_place() -> None:
    found = import_settings(
        '{"animation_mode": "2D", "max_frames": 9, "prompts": {"0": "a"}, "zoom": "0:(1.02*foo)"}', "a.txt"
    )
    assert "character" in found.account.of("dropped")["zoom"].words
    assert "zoom" in found.lost


def test_a_schedule_that_goes_too_far_is_dropped_with_its_frame() -> None:
    found = import_settings(
        '{"animation_mode": "2D", "max_frames": 99, "prompts": {"0": "a"}, "zoom": "1+t*2"}', "a.txt"
    )
    assert "at frame 50" in found.account.of("dropped")["zoom"].words
    assert rows_of(found)[0].zoom == "1"


def test_sound_comes_along() -> None:
    found = import_settings(
        '{"animation_mode": "2D", "max_frames": 9, "prompts": {"0": "a"}, "add_soundtrack": "File", '
        '"soundtrack_path": "x.mp3"}',
        "a.txt",
    )
    assert found.account.of("mapped")["soundtrack_path"].words == "audio"
    assert rows_of(found)[0].audio == "x.mp3"


def test_what_has_no_column_yet_says_so() -> None:
    found = import_settings(
        '{"animation_mode": "2D", "max_frames": 9, "prompts": {"0": "a"}, "diffusion_cadence": 3}', "a.txt"
    )
    assert found.account.of("dropped")["diffusion_cadence"].words == "nightreel has no cadence yet"


# ---- Parseq


def frames(**fields: list[Any]) -> dict[str, Any]:
    count = len(next(iter(fields.values())))
    return {
        "options": {"output_fps": 10},
        "rendered_frames": [{"frame": at, **{key: it[at] for key, it in fields.items()}} for at in range(count)],
    }


def test_parseqs_differences_move_and_are_made_where_they_are_missing() -> None:
    given = row_of(frames(deforum_prompt=["a"] * 4, zoom_delta=[1, 1.02, 1.02, 1.05], zoom=[1, 1.02, 1.04, 1.09]))
    made = row_of(frames(deforum_prompt=["a"] * 4, zoom=[1, 1.02, 1.04, 1.09]))
    for row in (given, made):
        zoom = Keyframes.parse(row.zoom, row.timeline)
        assert [zoom.at(it) for it in range(4)] == pytest.approx([1, 1.02, 1.02, 1.05])
    assert given.fps == 10


def test_parseqs_weights_change_within_a_scene() -> None:
    row = row_of(frames(deforum_prompt=["x", "x", "a :1 AND b :0", "a :0.5 AND b :.5", "a :0 AND b :1"]))
    assert [it.at for it in row.scenes] == [0, 2]
    a, b = (Keyframes.parse(it.weight, row.timeline) for it in row.scenes[1].prompts)
    assert [a.at(it) for it in (2, 3, 4)] == [1, 0.5, 0]
    assert [b.at(it) for it in (2, 3, 4)] == [0, 0.5, 1]


def test_a_parseq_document_without_frames_says_what_to_press() -> None:
    with pytest.raises(ManifestError, match="press 'Render' in Parseq"):
        import_settings('{"keyframes": [], "rendered_frames": []}', "a.json")


# ---- the others


def test_discos_weights_stand_behind_its_texts() -> None:
    row = row_of({
        "text_prompts": {"0": ["a cat:3", "fog:-1"], "5": ["at 12:30"]}, "clip_guidance_scale": 5, "max_frames": 9,
        "animation_mode": "2D",
    })  # fmt: skip
    assert [(it.text, it.weight) for it in row.scenes[0].prompts] == [("a cat", "3"), ("fog", "-1")]


def test_chigozienris_old_spelling_is_read() -> None:
    row = row_of(
        'text_prompts = "0:(Apple: 1| Pear: 0), 9: (Apple: 0| Pear: 1)"\nmax_frames = 12\niterations_per_frame = ""'
    )
    assert [it.weight for it in row.scenes[0].prompts] == ["0:(1), 9:(0)", "0:(0), 9:(1)"]
    assert row.steps == 10


def test_travel_holds_as_long_as_there() -> None:
    row = row_of({"prompt_map": {"0": "a", "16": "b"}, "prompt_fixed_ratio": 0.3, "head_prompt": "(best:1.2)"})
    assert (row.travel, row.travel_hold, row.frames, row.prefix) == (True, 0.3, 32, "best")


def test_each_subject_comes_in_each_style_with_the_settings_before_it() -> None:
    text = (
        "[subjects]\n!WIDTH = 64\na cat\na dog: wet\n!WIDTH = 128\na fox\n[styles]\nink\noil\n[suffixes]\n| text:-1\n"
    )
    rows = rows_of(import_settings(text, "a.txt"))
    assert [(it.width, format_prompts(it.scenes)) for it in rows] == [
        (64, "a cat | text:-1 | ink"), (64, "a cat | text:-1 | oil"), (64, "a dog\\: wet | text:-1 | ink"),
        (64, "a dog\\: wet | text:-1 | oil"), (128, "a fox | text:-1 | ink"), (128, "a fox | text:-1 | oil"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "piece"),
    [("a: b:2", ("a: b", "2", "-inf")), ("a:2:-.5", ("a", "2", "-0.5")), ("12:30", ("12", "30", "-inf")),
     ("a:nan", ("a", "1", "-inf")), ("a:1e9", ("a", "1000", "-inf")),
     ("http://x/y.png:2", ("http://x/y.png", "2", "-inf"))],
)  # fmt: skip
def test_numbers_behind_colons_are_weights(text: str, piece: tuple[str, str, str]) -> None:
    found = trailing_weights(text)
    assert found is not None
    assert (found.text, found.weight, found.stop) == piece
