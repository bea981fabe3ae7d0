"""Sound through the real ffmpeg: files as people have them, heard, and under a video to its exact length."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from infra.video import ffmpeg, sound
from infra.video.errors import SoundInvalid, VideoDefect
from infra.video.segments import join_segments
from infra.video.sound import Sound, listen
from tests.helpers.films import encoding, film, join, split, write_segments
from tests.helpers.music import clicks, convert, noise, samples_of, silence, tone, write_wav

FILM = 36


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of clicks at 120 bpm on the left, a tone on the right, 44.1 kHz."""
    left, _ = clicks(120, 3.0, rate=44_100)
    return write_wav(tmp_path_factory.mktemp("music") / "song.wav", [left, tone(440, 3.0, rate=44_100)], 44_100)


def film_without_sound(folder: Path, *arguments: str) -> Path:
    return convert(
        Path("testsrc2=duration=1:rate=24:size=64x48"), folder / "film.mp4", *arguments, inputs=["-f", "lavfi"]
    )


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("song.mp3", ()), ("song.m4a", ()), ("song.flac", ()), ("song.ogg", ("-c:a", "libvorbis")),
        ("song.opus", ()), ("song.mka", ("-c:a", "pcm_s24le")), ("mono.wav", ("-ac", "1", "-ar", "8000")),
        ("deep.wav", ("-c:a", "pcm_s24le")), ("float.wav", ("-c:a", "pcm_f32le")), ("six.m4a", ("-ac", "6")),
    ],
)  # fmt: skip
def test_files_as_people_have_them_are_heard(
    tmp_path: Path, music: Path, name: str, arguments: tuple[str, ...]
) -> None:
    track = listen(convert(music, tmp_path / name, *arguments), name)
    assert track.seconds == pytest.approx(3.0, abs=0.06)  # codecs of packets fill up the last one
    onset = track.signals(fps=Fraction(24), start=0.0, frames=72, release=0.0)["onset"]
    for moment in (0.25, 0.75, 1.25, 1.75, 2.25):
        due = int(moment * 24)
        assert onset[due - 1 : due + 2].max() > 0.6, moment


def test_a_picture_on_the_cover_is_no_film_and_of_several_tracks_the_first_counts(tmp_path: Path, music: Path) -> None:
    cover = convert(
        Path("color=red:size=64x64:duration=1"), tmp_path / "c.png", "-frames:v", "1", inputs=["-f", "lavfi"]
    )
    art = convert(
        music, tmp_path / "art.m4a", "-i", str(cover), "-map", "0:a", "-map", "1:v", "-c:v", "png",
        "-disposition:v", "attached_pic",
    )  # fmt: skip
    assert listen(art, "art.m4a").seconds == pytest.approx(3.0, abs=0.06)
    quiet = write_wav(tmp_path / "quiet.wav", silence(1.0))
    several = convert(
        film_without_sound(tmp_path), tmp_path / "several.mkv", "-i", str(quiet), "-i", str(music),
        "-map", "0:v", "-map", "1:a", "-map", "2:a",
    )  # fmt: skip
    assert listen(several, "several.mkv").seconds == pytest.approx(1.0, abs=0.06)


def test_what_holds_no_sound_is_told(tmp_path: Path, music: Path) -> None:
    broken = tmp_path / "broken.mp3"
    broken.write_bytes(np.random.default_rng(3).bytes(5000))
    playlist = tmp_path / "list.mp3"
    playlist.write_text(f"ffconcat version 1.0\nfile '{music}'\n")
    master = tmp_path / "master.mp3"
    master.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:{music}\n")
    empty = tmp_path / "empty.wav"
    empty.write_bytes(b"")
    whole = convert(music, tmp_path / "whole.m4a").read_bytes()
    cut = tmp_path / "cut.m4a"
    cut.write_bytes(whole[: len(whole) // 2])  # what says where all lies is at its end
    nothing = write_wav(tmp_path / "nothing.wav", silence(0))
    for path in (broken, playlist, master, empty, cut, nothing):
        with pytest.raises(SoundInvalid, match=f"'{path.name}'"):
            listen(path, path.name)
    with pytest.raises(SoundInvalid, match=r"'film.mp4' holds no sound: it has no audio stream"):
        listen(film_without_sound(tmp_path), "film.mp4")


def test_what_is_left_of_a_file_that_was_cut_is_heard(tmp_path: Path, music: Path) -> None:
    whole = convert(music, tmp_path / "whole.mp3").read_bytes()
    cut = tmp_path / "cut.mp3"
    cut.write_bytes(whole[: len(whole) // 2])
    assert listen(cut, "cut.mp3").seconds == pytest.approx(1.5, abs=0.1)


def test_endless_sound_and_endless_gaps_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound, "MOST_SECONDS", 2)
    with pytest.raises(SoundInvalid, match=r"'long.wav' lasts longer than 2 s, the most that is heard"):
        listen(write_wav(tmp_path / "long.wav", noise(3)), "long.wav")
    monkeypatch.setattr(sound, "MOST_SECONDS", 10)
    piece = convert(
        write_wav(tmp_path / "a.wav", noise(1)), tmp_path / "gap.mka", "-af", "asetpts=PTS+gt(T\\,.5)*1000/TB"
    )
    with pytest.raises(SoundInvalid, match="lasts longer"):
        listen(piece, "gap.mka")
    monkeypatch.setattr(sound, "DECODING_SECONDS", 0.0)
    with pytest.raises(SoundInvalid, match="takes longer than 0 s to decode"):
        listen(write_wav(tmp_path / "slow.wav", noise(9)), "slow.wav")


# --- under a video ----------------------------------------------------------------------------------------------------


def test_no_change_where_there_is_no_sound(tmp_path: Path) -> None:
    """Files without sound are to the byte what they were."""
    segments = write_segments(tmp_path, split(film(FILM), [20, 16]), format="mp4", fps=24)
    assert join(segments, tmp_path / "a.mp4", format="mp4", fps=24, frames=FILM).sound is None


@pytest.mark.parametrize("format", ["mp4", "webm"])
@pytest.mark.parametrize(("fps", "frames"), [(24, 36), (29.97, 31), (12.5, 7), (60, 61), (1, 2)])
def test_sound_and_picture_end_together(tmp_path: Path, music: Path, format: str, fps: float, frames: int) -> None:
    segments = write_segments(
        tmp_path, split(film(frames), [frames - 3, 3]) if frames > 3 else [film(frames)], format=format, fps=fps
    )
    target = tmp_path / f"video.{format}"
    under = Sound(music, start=0.1, gain=-3.0, seconds=listen(music, "song").seconds)
    info = join_segments(segments, encoding(format, fps), frames=frames, target=target, sound=under)
    seconds = frames / float(encoding(format, fps).rate)
    assert info.sound == pytest.approx(seconds, abs=0.5 / fps)
    assert len(samples_of(target, 48_000)) / 48_000 == pytest.approx(seconds, abs=min(1 / fps, 0.025))
    # no warning from a decoder that is asked for all
    log = ffmpeg.run(["-hide_banner", "-v", "warning", "-i", str(target), "-f", "null", "-"], "decoding")
    assert log == b""
    assert len(list(ffmpeg.decode(target))) == frames
    plain = tmp_path / f"plain.{format}"
    join_segments(segments, encoding(format, fps), frames=frames, target=plain)
    assert all(np.array_equal(a, b) for a, b in zip(ffmpeg.decode(plain), ffmpeg.decode(target), strict=True))


@pytest.mark.parametrize("format", ["mp4", "webm"])
def test_the_sound_is_where_it_belongs(tmp_path: Path, music: Path, format: str) -> None:
    """A click of the track at 1.25 s is heard 0.75 s into a video that begins at 0.5 s; quieter by the gain; and what
    is cut off is faded."""
    segments = write_segments(tmp_path, [film(FILM)], format=format, fps=24)
    target = tmp_path / f"video.{format}"
    join_segments(segments, encoding(format), frames=FILM, target=target, sound=Sound(music, 0.5, -6.0, 3.0))
    found, given = samples_of(target, 48_000), samples_of(music, 48_000)[24_000:]
    apart = np.correlate(given[29_000:43_000], found[30_000:42_000], "valid")
    assert abs(int(apart.argmax()) - 1000) <= 24  # half a millisecond
    loud = np.sqrt(np.mean(found[20_000:50_000] ** 2)) / np.sqrt(np.mean(given[20_000:50_000] ** 2))
    assert loud == pytest.approx(10 ** (-6 / 20), rel=0.1)
    assert np.abs(found[-300:]).max() < 0.02
    assert np.sqrt(np.mean(found[-6000:] ** 2)) < 0.7 * np.sqrt(np.mean(found[-18_000:-12_000] ** 2))


def test_where_music_ends_before_the_video_silence_follows(tmp_path: Path) -> None:
    short = write_wav(tmp_path / "short.wav", tone(440, 0.5))
    segments = write_segments(tmp_path, [film(FILM)], format="mp4", fps=24)
    target = tmp_path / "video.mp4"
    info = join_segments(segments, encoding("mp4"), frames=FILM, target=target, sound=Sound(short, 0.0, 0.0, 0.5))
    found = samples_of(target)
    assert info.sound == pytest.approx(1.5, abs=0.02)
    assert np.abs(found[int(0.6 * 22_050) :]).max() < 1e-3
    assert np.abs(found[2000:9000]).max() > 0.3
    late = join_segments(segments, encoding("mp4"), frames=FILM, target=target, sound=Sound(short, 5.0, 0.0, 0.5))
    assert late.sound == pytest.approx(1.5, abs=0.02)
    assert np.abs(samples_of(target)).max() < 1e-3


def test_equal_sound_gives_equal_bytes(tmp_path: Path, music: Path) -> None:
    segments = write_segments(tmp_path, [film(FILM)], format="mp4", fps=24)
    made = []
    for number in range(2):
        target = tmp_path / f"{number}.mp4"
        join_segments(segments, encoding("mp4"), frames=FILM, target=target, sound=Sound(music, 0.0, 0.0, 3.0))
        made.append(target.read_bytes())
    assert made[0] == made[1]


def test_a_video_whose_sound_is_missing_or_short_is_no_finished_one(tmp_path: Path, music: Path) -> None:
    segments = write_segments(tmp_path, [film(FILM)], format="mp4", fps=24)
    plain = tmp_path / "plain.mp4"
    join_segments(segments, encoding("mp4"), frames=FILM, target=plain)
    with pytest.raises(VideoDefect, match="holds no sound"):
        ffmpeg.check(plain, encoding("mp4"), frames=FILM, with_sound=True)
    cut = convert(
        plain,
        tmp_path / "cut.mp4",
        "-i",
        str(music),
        "-map",
        "0:v",
        "-map",
        "1:a",
        "-c:v",
        "copy",
        "-t",
        "1.5",
        "-af",
        "atrim=end=1",
    )
    with pytest.raises(VideoDefect, match=re.escape("sound of 'cut.mp4' lasts 1.0")):
        ffmpeg.check(cut, encoding("mp4"), frames=FILM, with_sound=True)
