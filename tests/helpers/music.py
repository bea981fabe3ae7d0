"""Music of numpy's: clicks, tones, noise, and files of them as people have them, made by the real ffmpeg."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infra.video import ffmpeg

RATE = 22_050

Samples = NDArray[np.float64]


def silence(seconds: float, rate: int = RATE) -> Samples:
    return np.zeros(round(seconds * rate))


def tone(hertz: float, seconds: float, level: float = 0.5, rate: int = RATE, fade: float = 0.05) -> Samples:
    """A sine that comes and goes softly, so that it holds nothing but itself."""
    times = np.arange(round(seconds * rate)) / rate
    edges = np.minimum(1.0, np.minimum(times, times[-1] - times) / fade)
    return level * np.sin(2 * np.pi * hertz * times) * (0.5 - 0.5 * np.cos(np.pi * edges))


def clicks(bpm: float, seconds: float, level: float = 0.8, rate: int = RATE) -> tuple[Samples, list[float]]:
    """A metronome, the first click half a beat in, and when it clicks (s)."""
    samples, moments = silence(seconds, rate), []
    burst = level * np.exp(-np.arange(rate // 50) / (rate / 400)) * np.random.default_rng(1).standard_normal(rate // 50)
    moment = 30.0 / bpm
    while moment < seconds - 0.05:
        at = round(moment * rate)
        samples[at : at + len(burst)] += burst
        moments.append(moment)
        moment += 60.0 / bpm
    return samples.clip(-1, 1), moments


def noise(seconds: float, level: float = 0.3, rate: int = RATE) -> Samples:
    return (level * np.random.default_rng(2).standard_normal(round(seconds * rate))).clip(-1, 1)


def write_wav(path: Path, channels: Samples | Sequence[Samples], rate: int = RATE, bits: int = 16) -> Path:
    """One channel, or several, of samples in [-1, 1]."""
    stacked = np.stack([channels] if isinstance(channels, np.ndarray) else list(channels), axis=-1)
    whole = np.round(stacked * (2 ** (bits - 1) - 1)).astype("<i4")
    data = whole.astype("<i2").tobytes() if bits == 16 else whole.reshape(-1, 1).view(np.uint8)[:, :3].tobytes()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(stacked.shape[1])
        file.setsampwidth(bits // 8)
        file.setframerate(rate)
        file.writeframes(data)
    return path


def convert(source: Path, target: Path, *arguments: str, inputs: Sequence[str] = ()) -> Path:
    """`source` as ffmpeg makes it with `arguments`; further `inputs` stand before it."""
    ffmpeg.run(
        ["-hide_banner", "-loglevel", "error", "-y", *inputs, "-i", str(source), *arguments, str(target)], "tests"
    )
    return target


def samples_of(path: Path, rate: int = RATE, stream: int = 0) -> Samples:
    """What a file sounds like, all channels in one."""
    arguments = ["-hide_banner", "-loglevel", "error", "-i", str(path), "-map", f"0:a:{stream}", "-ac", "1"]
    return np.frombuffer(ffmpeg.run([*arguments, "-ar", str(rate), "-f", "f32le", "-"], "tests"), "<f4").astype(float)
