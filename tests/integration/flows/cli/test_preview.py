"""`nightreel preview` of videos: whole ones, parts of one, its motion alone, and again when the manifest changes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

import nightreel
from flows.cli import run
from infra.video.ffmpeg import decode, probe
from infra.video.png_sequence import decode_pngs
from tests.helpers.music import samples_of, silence, tone, write_wav
from tests.helpers.render_jobs import QUICK, quick_row

PROMPT = "0: a red apple | 4: a green frog:(1+.1*t)"


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    reef = {"video_id": "reef", "prompt": PROMPT, "frames": 8, "translate_x": "4", "handoff": "keyframes", **QUICK}
    path = tmp_path / "night.yaml"
    path.write_text(yaml.safe_dump([reef, {"video_id": "lake", "prompt": "a lake", **QUICK}]))
    return path


def said(capsys: pytest.CaptureFixture[str], *arguments: Any, code: int = 0) -> Any:
    assert run(["preview", *map(str, arguments), "--json"]) == code
    captured = capsys.readouterr()
    return json.loads(captured.out) if code == 0 else captured.err


def test_a_prompt_of_several_frames_becomes_the_video_that_a_render_makes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [f"--set={name}={json.dumps(value)}" for name, value in QUICK.items()]
    moving = ["--set", "frames=4", "--set", "zoom=1.03", "--set", "angle=2"]
    shown = said(capsys, "a red apple", "-o", tmp_path / "a.zip", *options, *moving)
    assert (shown["frames"], shown["width"], shown["height"], shown["steps"]) == (4, 32, 32, 4 + 3 * 2)
    frames = nightreel.Renderer().frames(quick_row("preview", frames=4))
    for drawn, frame in zip(decode_pngs(tmp_path / "a.zip"), frames, strict=True):
        assert np.array_equal(drawn, frame.rendered.frame.picture)


def test_a_part_of_a_video_is_smaller_and_begins_where_it_is_asked_to(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = ["--frames", "3-6", "--scale", "0.5", "--steps", "0.5"]
    shown = said(capsys, manifest, "--video", "reef", "-o", tmp_path / "a.mp4", *part)
    assert (shown["frames"], shown["width"], shown["height"], shown["steps"]) == (4, 16, 16, 2 + 3 * 1)
    info = probe(tmp_path / "a.mp4")
    assert (info.frames, info.width, info.height) == (4, 16, 16)
    # one frame of it is a picture, and what a person sets goes over the row
    shown = said(capsys, manifest, "--video", "reef", "-o", tmp_path / "a.png", "--frames", "5", "--seed", "7")
    assert (shown["frames"], shown["seed"]) == (1, 7)


def test_the_motion_of_a_video_is_drawn_without_a_model(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "renderers.models", None)  # importing it raises
    shown = said(capsys, manifest, "--video", "reef", "-o", tmp_path / "a.mp4", "--motion")
    assert shown["frames"] == 8
    drawn = list(decode(tmp_path / "a.mp4"))
    assert len(drawn) == 8
    assert drawn[0].shape[1] == 480
    # the card goes 4 of 32 pixels to the right at each frame
    assert np.abs(drawn[1][:480, 60:].astype(int) - drawn[0][:480, :-60]).mean() < 6


def test_which_video_is_meant_must_be_said(manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = said(capsys, manifest, "-o", tmp_path / "a.mp4", code=2)
    assert "has 2 videos: name one by --video (reef, lake)" in error
    error = said(capsys, manifest, "--video", "sea", "-o", tmp_path / "a.mp4", code=2)
    assert "has no video 'sea' (reef, lake)" in error


def test_a_watched_manifest_is_shown_again_when_it_changes_also_after_a_mistake(manifest: Path, tmp_path: Path) -> None:
    target, log = tmp_path / "a.mp4", tmp_path / "log"
    command = [Path(sys.executable).with_name("nightreel"), "preview", manifest, "--video", "reef", "-o", target]
    with log.open("wb") as file:
        process = subprocess.Popen([*command, "--motion", "--watch"], stdout=file, stderr=file)
    try:
        eventually(lambda: log.read_text().count("Ctrl-C ends it") == 1)
        assert probe(target).frames == 8
        text = manifest.read_text()
        manifest.write_text(text.replace("frames: 8", "frames: none"))
        eventually(lambda: log.read_text().count("Ctrl-C ends it") == 2)
        assert "frames" in log.read_text()
        assert probe(target).frames == 8, "what was there stays"
        manifest.write_text(text.replace("frames: 8", "frames: 5"))
        eventually(lambda: log.read_text().count("Ctrl-C ends it") == 3)
        assert probe(target).frames == 5
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(60)
    assert code == 130
    assert "Traceback" not in log.read_text()


def eventually(condition: Callable[[], bool], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "not in time"
        time.sleep(0.2)


def test_a_picture_of_a_row_that_continues_another_begins_cold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [f"--set={name}={json.dumps(value)}" for name, value in QUICK.items()]
    said(capsys, "a red apple", "-o", tmp_path / "cold.png", *options)
    said(capsys, "a red apple", "-o", tmp_path / "branch.png", *options, "--set", "continues=reef@3")
    cold, branch = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("cold", "branch"))
    assert np.array_equal(cold, branch)


def test_a_preview_has_its_part_of_the_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    music = np.concatenate([tone(300, 1.0), silence(1.0), tone(2000, 1.0)])
    write_wav(tmp_path / "song.wav", music)
    reef = {
        "video_id": "reef",
        "prompt": "a reef",
        "seconds": "audio",
        "fps": 8,
        "audio": "song.wav",
        "zoom": "1+.1*high",
    }
    (tmp_path / "night.yaml").write_text(yaml.safe_dump([{**reef, **QUICK}]))
    said(capsys, tmp_path / "night.yaml", "-o", tmp_path / "a.mp4", "--motion")
    whole = samples_of(tmp_path / "a.mp4")
    assert len(whole) / 22_050 == pytest.approx(3.0, abs=0.03)
    assert np.abs(whole[26_000:40_000]).max() < 0.01 < 0.3 < np.abs(whole[50_000:60_000]).max()
    said(capsys, tmp_path / "night.yaml", "-o", tmp_path / "b.webm", "--motion", "--frames", "12-23")
    part = samples_of(tmp_path / "b.webm")
    assert len(part) / 22_050 == pytest.approx(1.5, abs=0.03)
    assert np.abs(part[:9000]).max() < 0.01 < 0.3 < np.abs(part[16_000:26_000]).max()
    said(capsys, tmp_path / "night.yaml", "-o", tmp_path / "c.gif", "--motion", "--frames", "0-3")  # holds none
    said(capsys, tmp_path / "night.yaml", "-o", tmp_path / "d.mp4", "--frames", "16-19")
    assert np.abs(samples_of(tmp_path / "d.mp4")).max() > 0.3


def test_a_preview_without_a_sound_to_hear_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_wav(tmp_path / "song.wav", tone(300, 1.0))
    reef = {"video_id": "reef", "prompt": "a reef", "frames": 4, "audio": "song.wav", "audio_start": 9}
    (tmp_path / "night.yaml").write_text(yaml.safe_dump([{**reef, **QUICK}]))
    assert run(["preview", str(tmp_path / "night.yaml"), "-o", str(tmp_path / "a.mp4"), "--motion", "--json"]) == 0
    assert "audio_start 9 lies behind the audio's end (1.00 s): silence" in " ".join(capsys.readouterr().err.split())
