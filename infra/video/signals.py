"""What pictures can follow in music: how loud it is, how strong its bands are, where something begins.

Pure numbers: decoded samples in, a value per frame out. A track is looked at once, in constant memory but for a few
numbers for each 12 ms, and asked for the frames of any video then. All is measured of the whole track, so that a longer
video keeps the values that a shorter one had.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = ["BANDS", "DECIMALS", "HIGHEST", "RATE", "Listener", "Track"]

Floats = NDArray[np.float64]

RATE = 22_050
"""samples a second, of one channel"""
HIGHEST = 11_000.0
"""Hz: what is higher can't be told at that rate"""
BANDS = {"bass": (20.0, 150.0), "mid": (150.0, 2000.0), "high": (2000.0, 8000.0)}
"""Hz, the first one included"""
DECIMALS = 4
"""of a value: digests of frames hold them, and must not hang on the last bits of a Fourier transform"""

_HOP = 256  # samples from one look to the next
_WINDOW, _SHORT = 2048, 512  # samples of a look: at bands, which need 11 Hz each, and at onsets, which need time
_PART = 64  # samples from one short window to the next, within a look
_LOOKS = 256  # at a time
# What is quieter is silence, or the noise of a codec, and must not be made loud: -80 dB, and -60 dB of the loudest.
_SILENT, _SILENT_SHARE = 1e-4, 1e-3
_ONSET_SUM = 30.0  # the flux of a click over how loud its frame is: it is a sum over all frequencies
_PERCENTILE = 95.0
_MOST = 8.0  # files of floats may hold anything


@dataclass(frozen=True)
class Track:
    """A track that was heard: `looks` are its measures, one each `_HOP` samples, by name; `samples` how many it had."""

    samples: int
    looks: Mapping[str, Floats]

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.samples / RATE

    @property
    def bytes(self) -> int:
        """How much memory it takes."""
        return sum(looks.nbytes for looks in self.looks.values())

    def signals(self, *, fps: Fraction, start: float, frames: int, release: float) -> dict[str, Floats]:
        """Return the values of `frames` frames of a video that begins `start` seconds into the track, by name: each
        measure of the time in which a frame is shown, divided by the 95th percentile of what is not silent in the
        track, at most 1; it dies away by a factor e in `release` seconds. Beyond the track's end they are 0."""
        before = int(Fraction(start) * fps)  # frames of the track before the video's first
        first = start - float(before / fps)
        count = max(before + frames, int((self.seconds - first) * float(fps)) + 1)
        edges = (first + np.arange(count + 1) / float(fps)) * (RATE / _HOP)
        raw = {
            # by a look's end: a beat between two frames, as those of 120 bpm are at 24 fps, belongs to the later one
            name: _most(looks, edges - 0.5) if name == "onset" else np.sqrt(_mean(looks, edges))
            for name, looks in self.looks.items()
        }
        floor = max(_SILENT, _SILENT_SHARE * float(raw["loud"].max(initial=0.0)))
        decay = float(np.exp(-1.0 / (float(fps) * release))) if release > 0 else 0.0
        return {
            name: np.round(_dying(_normal(values, floor * _ONSET_SUM if name == "onset" else floor), decay), DECIMALS)[
                before : before + frames
            ]
            for name, values in raw.items()
        }


class Listener:
    """Hears a track piece by piece."""

    def __init__(self, bands: Mapping[str, tuple[float, float]] | None = None) -> None:
        """`bands` are further ones, by name, lowest and highest frequency in Hz."""
        bins = np.fft.rfftfreq(_WINDOW, 1 / RATE).astype(np.float64)
        self._bands = {name: _bins(bins, *band) for name, band in {**BANDS, **(bands or {})}.items()}
        self._looks: dict[str, list[Floats]] = {name: [] for name in ("loud", *self._bands, "onset")}
        self._samples = 0
        # windows are about the middle of a look
        self._left = np.zeros((_WINDOW - _HOP) // 2)
        self._before = np.zeros((_HOP // _PART, _SHORT // 2 + 1))

    def hear(self, samples: NDArray[np.float32]) -> None:
        """Go on by some samples of one channel, in [-1, 1]; what is no number is silence."""
        self._samples += len(samples)
        clean = np.nan_to_num(samples.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0).clip(-_MOST, _MOST)
        self._left = np.concatenate([self._left, clean])
        while (whole := (len(self._left) - _WINDOW) // _HOP + 1) >= _LOOKS:
            self._look(min(whole, _LOOKS))

    def track(self) -> Track:
        """End, and return what was heard."""
        wanted = -(-self._samples // _HOP) - sum(map(len, self._looks["loud"]))
        missing = (wanted - 1) * _HOP + _WINDOW - len(self._left)
        self._left = np.concatenate([self._left, np.zeros(max(0, missing))])
        while wanted > 0:
            self._look(min(wanted, _LOOKS))
            wanted -= _LOOKS
        empty = np.zeros(0)
        # one after the other: hours of dozens of bands are hundreds of megabytes
        return Track(self._samples, {name: np.concatenate([empty, *self._looks.pop(name)]) for name in [*self._looks]})

    def _look(self, count: int) -> None:
        windows = sliding_window_view(self._left, _WINDOW)[: count * _HOP : _HOP]
        middle = (_WINDOW - _HOP) // 2
        self._looks["loud"].append(np.mean(windows[:, middle : middle + _HOP] ** 2, axis=1))
        # Blackman: its side lobes begin at -58 dB, so that a bass does not show in the middle
        window = np.blackman(_WINDOW)
        power = np.abs(np.fft.rfft(windows * window)) ** 2 * (2 / (_WINDOW * np.sum(window**2)))
        for name, bins in self._bands.items():
            self._looks[name].append(power[:, bins].sum(axis=1))
        self._looks["onset"].append(self._flux(windows))
        self._left = self._left[count * _HOP :]

    def _flux(self, windows: Floats) -> Floats:
        """Positive spectral flux: what has grown since a look before, over all frequencies (Dixon, Onset detection
        revisited, DAFx 2006, eq. 2); of several short windows that end in the look's own samples the most, so that it
        does not matter where between two looks something begins."""
        first = (_WINDOW + _HOP) // 2 - _SHORT - _HOP + _PART
        short = np.stack([windows[:, first + part : first + part + _SHORT] for part in range(0, _HOP, _PART)], axis=1)
        spectrum = np.abs(np.fft.rfft(short * np.hanning(_SHORT))) * (2 / _SHORT)
        before = np.concatenate([self._before[None], spectrum[:-1]])
        self._before = spectrum[-1]
        grown: Floats = np.maximum(spectrum - before, 0.0).sum(axis=2).max(axis=1)
        return grown


def _bins(frequencies: Floats, low: float, high: float) -> NDArray[np.intp]:
    """The bins of a band; of one between two bins the nearer."""
    found = np.flatnonzero((frequencies >= low) & (frequencies < high))
    return found if len(found) else np.array([np.argmin(np.abs(frequencies - (low + high) / 2))])


def _spans(looks: Floats, edges: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The looks of each frame, from one number to before another: those whose middle it shows, or the nearest."""
    numbers = np.ceil(edges - 0.5).astype(np.intp)
    middles = ((edges[:-1] + edges[1:]) / 2).astype(np.intp)
    empty = numbers[:-1] >= numbers[1:]
    return np.where(empty, middles, numbers[:-1]), np.where(empty, middles + 1, numbers[1:])


def _mean(looks: Floats, edges: Floats) -> Floats:
    first, last = _spans(looks, edges)
    # what is behind the track's end is silent, and counts
    sums = np.concatenate([[0.0], np.cumsum(looks)])
    found = sums[np.minimum(last, len(looks))] - sums[np.minimum(first, len(looks))]
    mean: Floats = np.maximum(found, 0.0) / (last - first)
    return mean


def _most(looks: Floats, edges: Floats) -> Floats:
    first, last = _spans(looks, edges)
    padded = np.concatenate([looks, np.zeros(max(0, int(last.max(initial=0)) - len(looks)) + 1)])
    found = np.zeros(len(first))
    for step in range(int((last - first).max(initial=0))):
        at = first + step
        found = np.maximum(found, np.where(at < last, padded[np.minimum(at, len(padded) - 1)], 0.0))
    return found


def _normal(values: Floats, floor: float) -> Floats:
    most = float(values.max(initial=0.0))
    if most < floor:
        return np.zeros_like(values)
    heard = values[values >= max(floor, 0.01 * most)]
    quiet = np.where(values >= floor, values, 0.0)
    return (quiet / np.percentile(heard, _PERCENTILE)).clip(0.0, 1.0)


def _dying(values: Floats, decay: float) -> Floats:
    if not decay:
        return values
    found, last = np.empty_like(values), 0.0
    for number, value in enumerate(values.tolist()):
        last = max(value, last * decay)
        found[number] = last
    return found
