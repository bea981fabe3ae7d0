"""The sound of rows as a plan knows it: each file heard once, what schedules take from it in the row."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flows.job import sounds
from flows.job.row_warnings import sound_warnings
from flows.job.sounds import Sounds
from infra.storage.storage import ReadingPolicy, SourceReader
from manifests.schema import ManifestRow, schedules
from renderers.errors import BadInput
from tests.helpers.music import clicks, tone, write_wav


@pytest.fixture
def music(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "song.wav", clicks(120, 2.0)[0])


def row(music: Path, **columns: object) -> ManifestRow:
    return ManifestRow.model_validate({"video_id": "reef", "prompt": "a", "frames": 48, "audio": str(music), **columns})


def test_each_file_is_read_once_for_all_rows_and_threads(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Path] = []

    def listen(path: Path, name: str, bands: object = None, *, measure: bool = True) -> object:
        heard.append(path)
        return real(path, name, bands, measure=measure)  # type: ignore[arg-type]

    real = sounds.listen
    monkeypatch.setattr(sounds, "listen", listen)
    known = Sounds(SourceReader())
    rows = [row(music, zoom=f"1 + .{number + 1}*onset") for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(known.heard, rows))
    assert len(heard) == 1
    known.heard(row(music))
    assert len(heard) == 2  # of what nobody measures it is known how long it is
    assert len({digest for _, digests in results for digest in digests.values()}) == 1
    assert schedules(results[3][0])["zoom"].at(6) == pytest.approx(1.4, abs=0.02)


def test_only_what_is_used_travels(music: Path) -> None:
    silent, _ = Sounds(SourceReader()).heard(row(music))
    assert silent.heard is not None
    assert (silent.heard.seconds, silent.heard.signals) == (2.0, ())
    used, _ = Sounds(SourceReader()).heard(row(music, zoom="1+.1*loud", angle="bass_prev"))
    assert used.heard is not None
    assert [it.name for it in used.heard.signals or ()] == ["bass", "loud"]
    assert Sounds(SourceReader()).heard(used)[0] == used  # as a plan that is planned again


def test_bands_that_nobody_uses_are_not_measured(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[object] = []

    def listen(path: Path, name: str, bands: object = None, *, measure: bool = True) -> object:
        measured.append(bands)
        return real(path, name, bands, measure=measure)  # type: ignore[arg-type]

    real = sounds.listen
    monkeypatch.setattr(sounds, "listen", listen)
    bands = [{"name": f"b{number}", "low": 100 * number, "high": 100 * number + 99} for number in range(32)]
    Sounds(SourceReader()).heard(row(music, bands=bands, zoom="1+.1*band_b3"))
    assert measured == [{"band_b3": (300.0, 399.0)}]


def test_what_is_remembered_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sounds, "_REMEMBERED_BYTES", 100_000)
    known = Sounds(SourceReader())
    for number in range(6):
        known.heard(row(write_wav(tmp_path / f"{number}.wav", tone(300, 10.0)), zoom="1+.1*loud"))
        assert known._known
        assert sum(it.track.bytes for it in known._known.values()) < 100_000


def test_a_loop_has_a_value_more(music: Path) -> None:
    looped, _ = Sounds(SourceReader()).heard(row(music, frames=72, loop=True, zoom="1+.1*loud"))
    assert looped.heard is not None
    assert len((looped.heard.signals or ())[0].values) * 3 // 8 == 73


def test_what_is_too_much_or_may_not_be_read_is_refused(
    music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sounds, "MOST_VALUES", 90)
    with pytest.raises(BadInput, match="takes 2 signals of its audio over 48 frames; at most 90 values"):
        Sounds(SourceReader()).heard(row(music, zoom="1+.1*loud", angle="bass"))
    elsewhere = SourceReader(ReadingPolicy(roots=(str(tmp_path / "allowed"),)))
    with pytest.raises(BadInput, match="lies outside of what a run of the server may read"):
        Sounds(elsewhere).heard(row(music))
    with pytest.raises(BadInput, match="the most that is read"):
        Sounds(SourceReader(ReadingPolicy(most_bytes=1000))).heard(row(music))


def test_music_that_ends_before_the_video_is_told(tmp_path: Path) -> None:
    short = write_wav(tmp_path / "short.wav", tone(300, 1.0))
    heard = Sounds(SourceReader()).heard
    assert sound_warnings(heard(row(short))[0]) == ["the audio ends after 1.00 of the video's 2.00 s: silence follows"]
    assert sound_warnings(heard(row(short, frames=24))[0]) == []
    assert "behind the audio's end" in sound_warnings(heard(row(short, audio_start=3))[0])[0]
    assert sound_warnings(row(short)) == []
