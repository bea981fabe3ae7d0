"""The order of moves, against the matrices that the peers multiply; and formulas that are baked."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.building import build
from manifests.importing.curves import LONGEST_BAKED, Curve, baked, renamed
from manifests.importing.importing import import_settings
from manifests.importing.moves import shifts_after
from manifests.results import GoodRow
from manifests.schema import KeyframeError, Keyframes, ManifestRow
from manifests.schema.camera import CAMERA_LIMITS
from manifests.schema.timeline import Timeline
from renderers.frame_plan.camera import camera_motion
from renderers.frame_plan.motion import Homography

FRAMES = 20
SIZE = (512, 384)


def opencv(zoom: float, angle: float, x: float, y: float, centre: tuple[float, float] = (0.5, 0.5)) -> np.ndarray:
    """OpenCV's rotation about a centre times a translation, as Deforum, Disco and chigozienri's notebook multiply them
    (getRotationMatrix2D: degrees counter-clockwise, y down)."""
    alpha, beta = zoom * math.cos(math.radians(angle)), zoom * math.sin(math.radians(angle))
    cx, cy = SIZE[0] * centre[0], SIZE[1] * centre[1]
    rotation = np.array([
        [alpha, beta, (1 - alpha) * cx - beta * cy], [-beta, alpha, beta * cx + (1 - alpha) * cy], [0, 0, 1],
    ])  # fmt: skip
    return rotation @ np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])


def pytti(zoom: tuple[float, float], angle: float, x: float, up: float) -> np.ndarray:
    """Where pytti's grid samples a point, inverted: a square, in pixels from its corner. Its grid goes from -1 to 1."""
    side = SIZE[0]
    zx, zy = (side - zoom[0]) / side, (side - zoom[1]) / side
    a = math.radians(angle)
    grid = np.array([
        [zx * math.cos(a), -zy * math.sin(a), -2 * x / side], [zx * math.sin(a), zy * math.cos(a), 2 * up / side],
        [0, 0, 1],
    ])  # fmt: skip
    pixels = np.array([[side / 2, 0, side / 2], [0, side / 2, side / 2], [0, 0, 1]])
    return pixels @ np.linalg.inv(grid) @ np.linalg.inv(pixels)


def ours(zoom: float, angle: float, x: float, y: float, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A row's camera, in pixels from the corner: zoomed and turned about the middle, then shifted."""
    a = math.radians(angle)
    cos, sin = zoom * math.cos(a), zoom * math.sin(a)
    to_middle = np.array([[1, 0, -size[0] / 2], [0, 1, -size[1] / 2], [0, 0, 1]])
    return np.linalg.inv(to_middle) @ np.array([[cos, sin, x], [-sin, cos, y], [0, 0, 1]]) @ to_middle


def row_of(text: str) -> ManifestRow:
    (good,) = build(import_settings(text, "a.txt").yaml, "yaml")
    return good.row  # type: ignore[union-attr]


def at(row: ManifestRow, column: str, frame: int) -> float:
    return Keyframes.parse(getattr(row, column), row.timeline).at(frame)


FORMULAS = {
    "numbers": ("1.02", "1.5", "4", "-3"),
    "formulas": ("1.02+0.01*sin(t/4)", "2*cos(t/6)", "t/5", "3"),
    "keys": ("0:(1), 10:(1.05)", "0:(0), 6:(2), 18:(-1)", "0:(0), 19:(8)", "0:(2)"),
    "shift only": ("1", "0", "2*sin(t)", "1"),
    "turn only": ("1.0", "0:(3)", "0", "0"),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_deforums_moves_are_those_of_its_matrices(name: str) -> None:
    zoom, angle, x, y = FORMULAS[name]
    row = row_of(
        f'{{"animation_mode": "2D", "max_frames": {FRAMES}, "W": 512, "H": 384, "prompts": {{"0": "a"}}, '
        f'"zoom": "{zoom}", "angle": "{angle}", "translation_x": "{x}", "translation_y": "{y}"}}'
    )
    for frame in range(FRAMES):
        theirs = opencv(*(Keyframes.parse(it, row.timeline).at(frame) for it in (zoom, angle, x, y)))
        here = ours(*(at(row, it, frame) for it in ("zoom", "angle", "translate_x", "translate_y")))
        assert np.allclose(theirs, here, atol=1e-6), frame


def test_another_centre_is_a_shift_where_rows_have_none() -> None:
    row = row_of(
        f'{{"animation_mode": "2D", "max_frames": {FRAMES}, "W": 512, "H": 384, "prompts": {{"0": "a"}}, '
        '"zoom": "1.05", "angle": "2", "translation_x": "0:(0), 19:(6)", "transform_center_x": "0.25", '
        '"transform_center_y": "0:(.5), 19:(1)"}'
    )
    if "centre_x" in ManifestRow.model_fields:
        pytest.skip("rows have a centre of their own")
    for frame in range(FRAMES):
        centre = (0.25, 0.5 + 0.5 * frame / 19)
        theirs = opencv(1.05, 2, 6 * frame / 19, 0, centre)
        here = ours(*(at(row, it, frame) for it in ("zoom", "angle", "translate_x", "translate_y")))
        assert np.allclose(theirs, here, atol=1e-6), frame


@given(st.floats(-20, 60), st.floats(-30, 30), st.floats(-20, 20), st.floats(-20, 20))
@settings(max_examples=40, deadline=None)
def test_pyttis_moves_are_those_of_its_grid(zoom: float, angle: float, x: float, up: float) -> None:
    row = row_of(
        "scenes: a\nsteps_per_frame: 10\npre_animation_steps: 10\nsteps_per_scene: 50\nanimation_mode: 2D\nwidth: 512\n"
        f"height: 512\nzoom_x_2d: '{zoom:.6f}'\nzoom_y_2d: '{zoom:.6f}'\nrotate_2d: '{angle:.6f}'\n"
        f"translate_x: '{x:.6f}'\ntranslate_y: '{up:.6f}'\n"
    )
    theirs = pytti((round(zoom, 6), round(zoom, 6)), round(angle, 6), round(x, 6), round(up, 6))
    here = ours(*(at(row, it, 1) for it in ("zoom", "angle", "translate_x", "translate_y")), size=(512, 512))
    assert np.allclose(theirs, here, atol=1e-5)


def test_pyttis_time_is_in_seconds_and_begins_behind_its_first_steps() -> None:
    row = row_of(
        "scenes: a\nsteps_per_frame: 10\npre_animation_steps: 40\nsteps_per_scene: 100\nanimation_mode: 2D\n"
        "frames_per_second: 12\nrotate_2d: 6*t\n"
    )
    assert (row.frames, row.steps_first, row.steps, row.fps) == (7, 40, 10, 12)
    assert at(row, "angle", 6) == pytest.approx(6 * 6 / 12)


def test_deforums_step_in_space_is_a_zoom_as_it_computes_one() -> None:
    row = row_of('{"animation_mode": "3D", "max_frames": 9, "prompts": {"0": "a"}, "translation_z": "0:(1.75)"}')
    assert at(row, "zoom", 1) == pytest.approx(1.0128, abs=1e-4)  # its defaults: z 1.75, fov 70


def project(rotation: tuple[float, float, float], step: tuple[float, float, float], fov: float) -> np.ndarray:
    """`offsets` of the middle, and of points to the right of it and below."""
    return offsets(rotation, step, fov, np.array([[0.0, 0.0], [0.5, 0.0], [0.0, 0.5]]))


def offsets(
    rotation: tuple[float, float, float], step: tuple[float, float, float], fov: float, at: np.ndarray
) -> np.ndarray:
    """Where Deforum's 3D warp puts a picture's points, without depth: those of a grid from -1 to 1 at depth 1, by row
    vectors times an XYZ Euler matrix plus a translation, projected; what a point shows comes from the other side."""
    a, b, c = (math.radians(it) for it in rotation)
    about_x = np.array([[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]])
    about_y = np.array([[math.cos(b), 0, math.sin(b)], [0, 1, 0], [-math.sin(b), 0, math.cos(b)]])
    about_z = np.array([[math.cos(c), -math.sin(c), 0], [math.sin(c), math.cos(c), 0], [0, 0, 1]])
    matrix = about_x @ about_y @ about_z
    focal = 1 / math.tan(math.radians(fov) / 2)
    points = np.column_stack([at, np.ones(len(at))])
    before = focal * points[:, :2] / points[:, 2:]
    moved = points @ matrix + np.array([-step[0] / 200, step[1] / 200, -step[2] / 200])
    return np.asarray(focal * moved[:, :2] / moved[:, 2:] - before)  # sampled from `point - offset`


def test_deforums_turns_and_steps_go_to_the_same_side() -> None:
    right = project((0, 0, 0), (2, 0, 0), 70)[0]
    assert right[0] < 0  # sampled from the right: the picture goes to the left
    row = row_of('{"animation_mode": "3D", "max_frames": 9, "prompts": {"0": "a"}, "translation_x": "2"}')
    assert at(row, "translate_x", 1) == pytest.approx(right[0] * 512 / 2)
    down = project((0, 0, 0), (0, 2, 0), 70)[0]
    row = row_of('{"animation_mode": "3D", "max_frames": 9, "prompts": {"0": "a"}, "translation_y": "2"}')
    assert at(row, "translate_y", 1) == pytest.approx(down[1] * 512 / 2)
    turned = project((0, 0, 3), (0, 0, 0), 70)[1]  # a point on the right goes up: counter-clockwise
    assert turned[1] < 0
    row = row_of('{"animation_mode": "3D", "max_frames": 9, "prompts": {"0": "a"}, "rotation_3d_z": "3"}')
    assert at(row, "angle", 1) == pytest.approx(3 / math.tan(math.radians(35)), rel=0.01)  # in its units
    assert project((0, 2, 0), (0, 0, 0), 70)[0][0] < 0  # pan: the picture goes to the left, so the camera to the right
    assert project((2, 0, 0), (0, 0, 0), 70)[0][1] > 0  # tilt: the picture goes down, so the camera up


SPACE = {"rotation_3d_x": 0.0, "rotation_3d_y": 0.0, "rotation_3d_z": 0.0, "translation_x": 0.0, "translation_y": 0.0,
         "translation_z": 0.0}  # fmt: skip


@pytest.mark.parametrize(
    ("moves", "within"),
    [
        ({"rotation_3d_y": 1.5}, 0.06), ({"rotation_3d_y": -1.5}, 0.06), ({"rotation_3d_x": 1.5}, 0.06),
        ({"rotation_3d_x": -1.5}, 0.06),
        ({"rotation_3d_z": 1.5}, 1e-3), ({"rotation_3d_z": -9.0}, 1e-3), ({"translation_x": 4.0}, 1e-3),
        ({"translation_y": 4.0}, 1e-3), ({"translation_z": 3.0}, 0.04), ({"translation_z": -3.0}, 0.04),
        ({"rotation_3d_y": 1.0, "rotation_3d_x": -1.0, "translation_z": 2.0, "translation_x": 3.0}, 0.1),
    ],
)  # fmt: skip
def test_a_camera_in_space_is_the_homography_that_deforums_matrices_make(
    moves: dict[str, float], within: float
) -> None:
    """Where the middle of the new picture, and points a quarter aside, lie in the old one."""
    given = SPACE | moves
    said = ", ".join(f'"{axis}": "{value}"' for axis, value in moves.items())
    row = row_of(
        f'{{"animation_mode": "3D", "max_frames": 9, "W": 512, "H": 512, "prompts": {{"0": "a"}}, {said}, '
        '"fov_schedule": "70"}'
    )
    axes = {axis: at(row, axis, 1) for axis in CAMERA_LIMITS}
    motion = camera_motion(axes, 512, 512)
    assert isinstance(motion, Homography)
    inverse = np.array(motion.inverse().entries).reshape(3, 3)
    turns = (given["rotation_3d_x"], given["rotation_3d_y"], given["rotation_3d_z"])
    steps = (given["translation_x"], given["translation_y"], given["translation_z"])
    points = np.array([[0.0, 0.0], [0.25, 0.0], [0.0, 0.25], [-0.25, 0.25]])
    theirs = -offsets(turns, steps, 70, points) * 256  # in pixels, of the old picture beside the new
    for point, expected in zip(points, theirs, strict=True):
        x, y, w = inverse @ [*(point * 256), 1]
        found = np.array([x / w, y / w]) - point * 256
        assert np.linalg.norm(found - expected) <= within * max(1.0, np.abs(theirs).max()), (point, found, expected)


def test_that_a_turning_camera_is_nearly_deforums_is_said() -> None:
    found = import_settings(
        '{"animation_mode": "3D", "max_frames": 9, "prompts": {"0": "a"}, "rotation_3d_y": "1"}', "a.txt"
    )
    assert "its edges go further" in found.account.of("approximated")["rotation_3d_y"].words


# ---- curves


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60))
@settings(max_examples=100, deadline=None)
def test_baked_keyframes_have_the_value_of_each_frame(values: list[float]) -> None:
    found = Keyframes(baked(values, len(values)))
    for frame, value in enumerate(values):
        assert found.at(frame) == pytest.approx(value, rel=1e-8, abs=1e-8)


def test_what_runs_straight_becomes_two_keys() -> None:
    assert baked([float(it) for it in range(100)], 100) == "0:(0), 99:(99)"
    assert baked([3.0] * 50, 50) == "3"
    assert baked([0.0, 1.0, 2.0, 1.0, 0.0], 5) == "0:(0), 2:(2), 4:(0)"


def test_what_is_too_long_for_a_column_is_thinned_and_said_or_refused() -> None:
    chance = np.random.default_rng(0).normal(size=20_000)
    with pytest.raises(KeyframeError, match="keys are longer than a column may be"):
        baked(list(chance), 20_000)  # nobody is there to tell
    said: list[str] = []
    with pytest.raises(KeyframeError, match="keys are longer than a column may be"):
        baked(list(chance), 20_000, said.append)  # pure chance has no line through it
    drift = 1.02 + 0.01 * np.sin(np.arange(20_000) / 50) + 1e-6 * chance
    text = baked(list(drift), 20_000, said.append)
    assert len(text) <= LONGEST_BAKED
    (words,) = said
    within = float(re.search(r"within ([\d.e-]+) of each frame", words)[1])  # type: ignore[index]
    keys = Keyframes(text)
    assert max(abs(keys.at(frame) - drift[frame]) for frame in range(0, 20_000, 7)) <= 1.01 * within <= 0.002 * 0.02


def test_thousands_of_frames_of_chance_are_said_to_six_digits() -> None:
    chance = 1e-5 * np.random.default_rng(0).normal(size=5_000)
    text = baked(list(chance), 5_000)
    assert len(text) <= LONGEST_BAKED
    keys = Keyframes(text)
    assert max(abs(keys.at(frame) - chance[frame]) for frame in range(5_000)) < 1e-10


def test_parseqs_file_of_thousands_of_frames_carries_over() -> None:
    chance = np.random.default_rng(1).normal(size=(4_900, 3)) * 1e-5
    frames = [
        {"frame": number, "deforum_prompt": f"a reef :{0.5 + x:.7f} AND a ruin :{0.5 - x:.7f} --neg fog :{1 + y:.7f}",
         "zoom_delta": 1.02 + x, "angle_delta": y, "translation_x_delta": z}
        for number, (x, y, z) in enumerate(chance.tolist())
    ]  # fmt: skip
    found = import_settings(json.dumps({"options": {"output_fps": 20}, "rendered_frames": frames}), "a.json")
    assert not found.lost
    (good,) = build(found.yaml, "yaml")
    assert isinstance(good, GoodRow)
    for frame in (1, 777, 4_000):
        assert at(good.row, "zoom", frame) == pytest.approx(frames[frame]["zoom_delta"], abs=1e-5)
        assert at(good.row, "angle", frame) == pytest.approx(frames[frame]["angle_delta"], abs=1e-9)
        weights = [Keyframes.parse(str(it.weight), good.row.timeline).at(frame) for it in good.row.scenes[0].prompts]
        expected = [0.5 + chance[frame, 0], 0.5 - chance[frame, 0], -0.5 * (1 + chance[frame, 1])]
        assert weights == pytest.approx(expected, abs=1e-6)


def test_formulas_that_are_too_long_together_are_baked() -> None:
    timeline = Timeline(FRAMES)
    long = Curve("+".join(["sin(t)"] * 400), timeline)
    one, _ = shifts_after(Curve("1.02", timeline), Curve("1", timeline), long, long, FRAMES)
    assert one.startswith("0:(")
    assert Keyframes(one).at(3) == pytest.approx(
        1.02 * 400 * math.sin(3) * (math.cos(math.radians(1)) + math.sin(math.radians(1)))
    )


def test_names_and_degrees_are_written_as_they_are_here() -> None:
    text = renamed("sin(radians(3*t))**2 + degrees(s)", {"t": "s", "s": "seed"})
    assert text == "sin(((3*s)*pi/180))**2 + ((seed)*180/pi)"
    Keyframes.parse(text, Timeline(9))
    assert renamed("2e3*te", {"e3": "x", "t": "s"}) == "2e3*te"
