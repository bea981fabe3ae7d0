"""Sound that a row names: heard, and put under its video.

What somebody names as sound is a stranger's file: it is read as one of the formats below and as nothing else (a
playlist would have ffmpeg read whatever it lists), for so long and so many seconds of sound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from infra.video import ffmpeg
from infra.video.arguments import SoundArguments
from infra.video.encoding import Encoding
from infra.video.errors import FfmpegError, FfmpegTooSlow, SoundInvalid
from infra.video.signals import RATE, Listener, Track

__all__ = ["DECODING_SECONDS", "MOST_SECONDS", "Sound", "listen", "sound_arguments"]

MOST_SECONDS = 2 * 3600  # of which dozens of bands take half a gigabyte
"""of sound: more is no music for a video, or a file that plays for ever"""
DECODING_SECONDS = 300.0

FADE_SECONDS = 0.25
"""at the end of a video that ends before its music does"""

_FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dts,eac3,flac,flv,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpc8,mpeg,"
    "mpegts,ogg,tta,w64,wav,wv"
)
_OUT_RATE = 48_000


@dataclass(frozen=True)
class Sound:
    """A file of sound to put under a video: from its second `start` on, louder by `gain` dB; it lasts `seconds`."""

    path: Path
    start: float
    gain: float
    seconds: float


def listen(
    path: Path, name: str, bands: Mapping[str, tuple[float, float]] | None = None, *, measure: bool = True
) -> Track:
    """Hear the first track of sound in a file to its end, all channels in one; `name` stands for the file in messages.
    Without `measure` it is only known how long it is, in a third of the time.

    Decoders are kept from what only some processors can do (`-cpuflags 0`): the frames of a video may hang on what is
    heard, on whatever machine.

    Raises:
        SoundInvalid: it holds no sound that can be decoded, or more than `MOST_SECONDS`, or it takes too long.
    """
    listener, left, heard = Listener(bands), b"", 0
    arguments = [
        "-hide_banner", "-nostdin", "-nostats", "-loglevel", "error", "-cpuflags", "0", "-threads", "1",
        *_reading(path), "-map", "0:a:0", "-af", f"aresample={RATE}:async=1:first_pts=0", "-ac", "1",
        "-t", str(MOST_SECONDS + 1), "-f", "f32le", "pipe:1",
    ]  # fmt: skip
    try:
        for piece in ffmpeg.stream(arguments, f"decoding the sound of '{name}'", seconds=DECODING_SECONDS):
            data = left + piece
            whole = len(data) - len(data) % 4
            left = data[whole:]
            if measure:
                listener.hear(np.frombuffer(data[:whole], "<f4"))
            heard += whole // 4
            if heard > MOST_SECONDS * RATE:
                raise SoundInvalid(f"'{name}' lasts longer than {MOST_SECONDS:,} s, the most that is heard: cut it")
    except FfmpegTooSlow as error:
        raise SoundInvalid(
            f"'{name}' takes longer than {DECODING_SECONDS:g} s to decode: convert it to a WAV"
        ) from error
    except FfmpegError as error:
        raise SoundInvalid(f"'{name}' holds no sound{_why(str(error))}") from error
    if not heard:
        raise SoundInvalid(f"'{name}' holds no sound: it ends before it begins")
    return listener.track() if measure else Track(heard, {})


def _why(said: str) -> str:
    if "matches no streams" in said:
        return ": it has no audio stream"
    return f" that can be read: {said.strip().splitlines()[-1]}"


def _reading(path: Path) -> tuple[str, ...]:
    return (
        "-max_alloc", str(1 << 28), "-protocol_whitelist", "file", "-format_whitelist", _FORMATS,
        "-i", f"file:{path.absolute()}",
    )  # fmt: skip


def sound_arguments(sound: Sound, encoding: Encoding, frames: int) -> SoundArguments:
    """Build ffmpeg's arguments that put a sound under a video of `frames` frames, for exactly as long: cut, with a
    fade, or followed by silence."""
    seconds = frames / encoding.rate
    samples = round(seconds * _OUT_RATE)
    chain = [
        f"aresample={_OUT_RATE}:async=1:first_pts=0",
        "aformat=sample_fmts=fltp:channel_layouts=stereo|mono",
        f"atrim=start_sample={round(sound.start * _OUT_RATE)}",
        "asetpts=N/SR/TB",
        *([f"volume={sound.gain:g}dB"] if sound.gain else []),
        "apad",
        f"atrim=end_sample={samples}",
    ]
    if sound.seconds - sound.start > float(seconds):
        fade = min(FADE_SECONDS, float(seconds) / 2)
        chain.append(f"afade=type=out:start_time={float(seconds) - fade:.6f}:duration={fade:.6f}")
    return SoundArguments(
        source=("-cpuflags", "0", *_reading(sound.path)),
        codec=("-map", "1:a:0", "-af", ",".join(chain), *encoding.spec.sound, "-threads", "1"),
    )
