"""A film made of everything, from one manifest: drawn over a film, drawn on from there by the sound, a loop; 60 frames
a second, h265 with sound; by two Ray actors into a real S3 server, killed in each stage, and played in a browser."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from infra.storage.storage import Storage, disconnect
from infra.video import ffmpeg
from manifests.schema import ManifestRow
from tests.helpers.browser import browser_pages
from tests.helpers.commands import Commands, Running, descendants, wait_until_gone
from tests.helpers.films import film
from tests.helpers.music import RATE, clicks, convert, samples_of, tone, write_wav
from tests.helpers.render_jobs import QUICK, frame_objects, render, write_manifest
from tests.helpers.root import ROOT
from tests.helpers.s3_server import S3Server, running_s3_server

SHOTS = ROOT / "test-output" / "whole film"
FPS, SHOWN, DRAWN = 12, 60, 36


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    with running_s3_server() as server:
        server.create_bucket("reels")
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL_S3"):
            monkeypatch.delenv(name, raising=False)
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        disconnect()
        yield server
        disconnect()


def rows(movie: Path, music: Path) -> list[ManifestRow]:
    shown = {"format": "mp4", "codec": "h265", "audio": str(music), "finish": {"fps": SHOWN}}
    drawn = {**QUICK, **shown, "width": 64, "height": 64, "upscale": 2, "fps": FPS, "frames": DRAWN}
    source = {"video": str(movie), "fps": FPS}
    made: list[dict[str, Any]] = [
        {"video_id": "over", "prompt": "a red apple", "source": {
            **source, "mode": "flow", "blend": "where(t < 9, .3, .05)", "picture": "100*bass",
        }},
        {"video_id": "each", "prompt": "a red apple", "source": {**source, "mode": "each", "edges": 30}},
        {"video_id": "on", "continues": "over", "prompt": "a red apple:(.2 + bass) | a blue fish:(1.2 - bass)",
         "zoom": "1 + .06*onset", "finish": {"fps": SHOWN, "smooth": 3}},
        {"video_id": "ring", "prompt": "a full moon", "zoom": "1.02", "angle": "2*loud", "loop": True,
         "handoff": "keyframes", "keyframe_every": 4},
    ]  # fmt: skip
    return [ManifestRow.model_validate({**drawn, **row}) for row in made]


def moment(running: Running, what: Callable[[], bool], name: str) -> None:
    """Wait for it while the command runs."""
    deadline = time.monotonic() + 300
    while not what():
        assert running.process.poll() is None, f"it ended before {name}:\n{running.err.read_text()[-3000:]}"
        assert time.monotonic() < deadline, f"{name} never came:\n{running.err.read_text()[-3000:]}"
        time.sleep(0.02)


def kill(running: Running, server: S3Server) -> None:
    """SIGKILL to the command and all that it started, at a moment at which storage takes nothing any more."""
    server.pause()
    family = descendants(running.process.pid)
    running.kill()
    left = wait_until_gone(family, 60)
    server.resume()
    assert left == []


@pytest.mark.minutes
@pytest.mark.timeout(1500)
def test_it_survives_a_kill_in_each_stage_and_plays_with_its_sound(server: S3Server, tmp_path: Path) -> None:
    shots = tmp_path / "shots"
    shots.mkdir()
    for number, picture in enumerate(film(DRAWN, 96, 96)):
        Image.fromarray(picture).save(shots / f"{number}.png")
    movie = convert(shots / "%d.png", tmp_path / "movie.mkv", "-c:v", "ffv1", inputs=["-framerate", str(FPS)])
    beat, _ = clicks(120, DRAWN / FPS)
    music = write_wav(tmp_path / "music.wav", (beat / 2 + tone(80, DRAWN / FPS, 0.4)).clip(-1, 1))
    made = rows(movie, music)
    names = [row.video_id for row in made]
    manifest = write_manifest(tmp_path / "film.parquet", made)
    storage = Storage("s3://reels/film")
    nightreel = Commands(tmp_path, {**server.environment, "NIGHTREEL_ACTORS": "2"})
    command = ("render", manifest, "--output", storage.root)

    def keys(part: str) -> list[str]:
        return [info.key for info in storage.list() if part in info.key]

    def waiting_for_their_film() -> list[str]:
        """Videos that have all their frames, and aren't published."""
        there = set(keys(""))
        return [
            name for name in names
            if f"{name}/video.mp4" not in there and sum(key.startswith(f"{name}/frames/") for key in there) == DRAWN
        ]  # fmt: skip

    running = nightreel.start(*command)
    moment(running, lambda: len(keys("/source/")) >= 3, "the preparation of a film")
    kill(running, server)
    assert len(keys("/source/")) < 2 * DRAWN
    assert keys("/frames/") == []

    running = nightreel.start(*command)
    moment(running, lambda: len(keys("/frames/")) >= DRAWN, "a quarter of the frames")
    kill(running, server)
    before = frame_objects(storage)
    assert DRAWN <= len(before) < 4 * DRAWN

    running = nightreel.start(*command)
    moment(running, lambda: bool(waiting_for_their_film()), "a video whose frames are all there")
    kill(running, server)
    assert waiting_for_their_film()

    ended = nightreel(*command, seconds=600)
    assert ended.code == 0, ended.out + ended.err
    frames = frame_objects(storage)
    assert len(frames) == 4 * DRAWN
    assert {key: frames[key] for key in before} == before

    undisturbed = str(tmp_path / "out")
    assert render(manifest, undisturbed).complete
    assert frame_objects(undisturbed) == frames
    for name in names:
        file = tmp_path / f"{name}.mp4"
        file.write_bytes(storage.read(f"{name}/video.mp4"))
        assert file.read_bytes() == Path(undisturbed, name, "video.mp4").read_bytes()
        decodes_and_ends_together(file)

    plays(nightreel, storage)


def decodes_and_ends_together(file: Path) -> None:
    said = ffmpeg.log_of(["-hide_banner", "-v", "warning", "-xerror", "-i", str(file), "-f", "null", "-"], "tests")
    assert said == ""
    pictures = sum(1 for _ in ffmpeg.decode(file))
    assert pictures == pytest.approx(DRAWN * SHOWN / FPS, abs=SHOWN / FPS)
    assert len(samples_of(file)) / RATE == pytest.approx(pictures / SHOWN, abs=1 / FPS)


def plays(nightreel: Commands, storage: Storage) -> None:
    """The film as the web takes it, made from the stored frames, in the live page's player, from begin to end."""
    # Debian's chromium decodes no h265
    again = nightreel("remaster", storage.root, "--video", "on", "--set", "codec=h264")
    assert again.code == 0, again.err
    running = nightreel.start("watch", storage.root, "--json")
    try:
        moment(running, lambda: running.out.read_text().endswith("\n"), "the live page")
        link = json.loads(running.out.read_text())["link"]
        with browser_pages(link, SHOTS) as pages:
            pages.open(link)
            page = pages.page
            page.locator(".video").get_by_text("on", exact=True).click()
            page.get_by_role("button", name="Play").click()
            player = page.locator("#grid-film")
            player.evaluate("it => { it.muted = true; it.loop = false; return it.play() }")
            moment(running, lambda: player.evaluate("it => it.ended"), "the end of the film")
            found = player.evaluate(
                "it => [it.duration, it.videoWidth, it.webkitAudioDecodedByteCount,"
                " it.getVideoPlaybackQuality().totalVideoFrames]"
            )
            pages.shot("the film")
    finally:
        running.kill()
    seconds, width, sound, pictures = found
    assert seconds == pytest.approx(DRAWN / FPS, abs=1 / FPS)
    assert width == 128
    assert sound > 0
    assert pictures > SHOWN
