"""What pictures take from music: loudness, bands and onsets, frame by frame."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from infra.video.signals import BANDS, Listener, Track
from tests.helpers.music import RATE, clicks, noise, silence, tone

FPS = Fraction(24)


def heard(samples: NDArray[np.float64], piece: int = 10_000) -> Track:
    listener = Listener()
    for start in range(0, len(samples), piece):
        listener.hear(samples[start : start + piece].astype(np.float32))
    return listener.track()


def signals(
    samples: NDArray[np.float64], fps: Fraction = FPS, start: float = 0.0, release: float = 0.15, frames: int = 96
) -> dict[str, NDArray[np.float64]]:
    return heard(samples).signals(fps=fps, start=start, frames=frames, release=release)


@pytest.mark.parametrize("fps", [FPS, Fraction(30_000, 1001), Fraction(60), Fraction(10)])
@pytest.mark.parametrize("bpm", [60.0, 120.0, 174.0])
def test_onsets_peak_within_one_frame_of_each_click(bpm: float, fps: Fraction) -> None:
    samples, moments = clicks(bpm, 8.0)
    frames = int(8 * fps)
    onset = signals(samples, fps, release=0.0, frames=frames)["onset"]
    for moment in moments:
        due = int(moment * fps)
        near = onset[max(0, due - 1) : due + 2]
        assert near.max() > 0.7, (moment, near)
    quiet = np.ones(frames, dtype=bool)
    for moment in moments:
        quiet[max(0, int(moment * fps) - 1) : int(moment * fps) + 2] = False
    assert onset[quiet].max(initial=0.0) < 0.1


@pytest.mark.parametrize(("hertz", "name"), [(40, "bass"), (600, "mid"), (4000, "high")])
def test_a_tone_moves_its_own_band_only(hertz: float, name: str) -> None:
    found = signals(np.concatenate([silence(1), tone(hertz, 2.0), silence(1)]), release=0.0)
    assert found[name][30:66].min() > 0.9
    for other in {"bass", "mid", "high"} - {name}:
        assert found[other].max() == 0.0, other
    assert found["loud"][30:66].min() > 0.9
    assert found["loud"][:20].max() == found["loud"][80:].max() == 0.0


def test_silence_and_hiss_below_hearing_stay_silent() -> None:
    for samples in (silence(4), noise(4, level=1e-5)):
        assert all(values.max() == 0.0 for values in signals(samples).values())


def test_what_is_loud_dies_away_by_the_release() -> None:
    samples = np.concatenate([tone(300, 1.0), silence(3)])
    at_once, slow = (signals(samples, release=it)["loud"] for it in (0.0, 0.5))
    assert at_once[26:].max() == 0.0
    assert slow[24 + 12] == pytest.approx(slow[24] * np.exp(-0.5 / 0.5), rel=0.02)
    assert np.all(slow >= at_once)


def test_a_later_start_is_the_same_music_from_there() -> None:
    samples, _ = clicks(100, 10.0)
    whole, later = signals(samples, frames=200), signals(samples, start=2.0, frames=152)
    for name in whole:
        assert np.allclose(whole[name][48:], later[name], atol=1e-6), name


def test_a_longer_video_keeps_the_values_that_a_shorter_one_had() -> None:
    samples = np.concatenate([noise(2, 0.1), noise(4, 0.9)])
    short, long = signals(samples, frames=20), signals(samples, frames=140)
    assert all(np.array_equal(short[name], long[name][:20]) for name in short)


def test_beyond_its_end_music_is_silent() -> None:
    found = signals(tone(300, 1.0), release=0.0, frames=200)
    assert all(len(values) == 200 and values[30:].max() == 0.0 for values in found.values())


def test_own_bands_and_pieces_of_any_length() -> None:
    samples = np.concatenate([tone(250, 1.0), tone(1000, 1.0)])
    tracks = []
    for piece in (1, 777, 10**6):
        listener = Listener({"snare": (180.0, 400.0)})
        pieces = range(0, len(samples), piece) if piece > 1 else [0]
        for start in pieces:
            listener.hear(samples[start : start + piece if piece > 1 else None].astype(np.float32))
        tracks.append(listener.track().signals(fps=FPS, start=0.0, frames=48, release=0.0))
    assert tracks[0]["snare"][6:18].min() > 0.9
    assert tracks[0]["snare"][28:].max() < 0.05
    for track in tracks[1:]:
        assert all(np.array_equal(track[name], tracks[0][name]) for name in track)


def test_values_are_shares_of_four_decimals() -> None:
    for values in signals(noise(5)).values():
        assert values.min() >= 0.0
        assert values.max() == 1.0
        assert np.array_equal(values, np.round(values, 4))
    assert set(BANDS) == {"bass", "mid", "high"}


def test_broken_samples_are_silence() -> None:
    samples = tone(300, 1.0)
    samples[100], samples[200], samples[300] = np.nan, np.inf, 1e30
    assert all(np.isfinite(values).all() for values in signals(samples).values())


def test_the_length_is_counted_in_samples() -> None:
    assert heard(silence(1.5)).seconds == 1.5
    assert Listener().track().seconds == 0.0
    assert RATE == 22_050
