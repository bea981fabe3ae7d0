"""ffmpeg's argument lists, as pure functions of an `Encoding`.

Nothing here starts a process, so the tests assert whole argument lists in microseconds; `infra.video.ffmpeg` runs them.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from infra.video.encoding import Encoding

__all__ = ["SoundArguments", "concat_listing", "encode_arguments", "encoder_settings", "join_commands"]

# Raise it when a segment's bytes change for a reason that the arguments below do not show (the seal, the PNG writer).
ENCODER_REVISION = 1

# Same bytes on every worker: one thread (x264 and libvpx decide differently with the number of threads), no choice of
# algorithm by CPU model, no dates and no version tags in the container.
_QUIET = ["-hide_banner", "-nostdin", "-nostats", "-loglevel", "error"]
_REPRODUCIBLE = ["-map_metadata", "-1", "-fflags", "+bitexact"]


class SoundArguments(NamedTuple):
    """ffmpeg's arguments for a sound track under a video: how its file is read, as the second one, and encoded."""

    source: tuple[str, ...]
    codec: tuple[str, ...]


def encoder_settings(encoding: Encoding) -> dict[str, object]:
    """Return all that decides a segment's bytes apart from its pictures and the ffmpeg binary, for the digest.

    Taken from the real argument list, so a changed option changes the digest by itself. The binary's version is left
    out on purpose: a planner and a worker with different builds must agree on a segment's key. Mixed builds still join
    (parameter sets travel in each segment), only the promise of equal bytes is per build.
    """
    settings: dict[str, object] = {
        "revision": ENCODER_REVISION,
        "format": encoding.format,
        "rate": encoding.rate_text,
        "upscale": encoding.upscale,
    }
    codec = encoding.codec_used
    if codec is not None:
        settings["codec"] = " ".join(codec.options(encoding))
        # Of a picture of odd size, so that the padding shows in it too.
        settings["filter"] = _filter(15, 15, encoding)
    if encoding.quality != "good":  # what is encoded anew at the join shows it nowhere else
        settings["quality"] = encoding.quality
    return settings


def encode_arguments(width: int, height: int, encoding: Encoding, *, target: Path) -> list[str]:
    """Build the arguments that encode raw RGB pictures from stdin, `(height, width, 3)` uint8 each, as one segment.

    Every segment is Matroska, which stores all codecs used here and carries the codec's headers once per file.
    """
    codec = encoding.codec_used
    assert codec is not None, "pictures in a zip are not ffmpeg's work"
    filters = ",".join(filter(None, (_filter(width, height, encoding), codec.said)))
    return [
        *(argument for argument in _QUIET if argument != "-nostdin"),
        "-f", "rawvideo", "-pixel_format", "rgb24", "-video_size", f"{width}x{height}",
        "-framerate", encoding.rate_text, "-i", "pipe:0",
        "-an", *(["-vf", filters] if filters else []), "-fps_mode", "passthrough",
        *codec.options(encoding),
        *_REPRODUCIBLE, "-f", "matroska", "-y", _file(target),
    ]  # fmt: skip


def join_commands(
    encoding: Encoding, listing: Path, *, work: Path, target: Path, sound: SoundArguments | None = None
) -> dict[str, list[str]]:
    """Build the commands that make `target` from the segments in `listing` (concat demuxer): in order, by their tasks.

    `work` is a folder for what one leaves to the next; `sound` is put under a video whose packets are copied.
    """
    if encoding.spec.join == "palette":
        palette = work / "palette.png"
        return {
            "choosing the palette of": _palette_arguments(listing, palette=palette),
            "joining": _dither_arguments(encoding, listing, palette=palette, target=target),
        }
    if encoding.spec.join == "anew":
        return {"joining": _anew_arguments(encoding, listing, target=target)}
    return {"joining": _copy_arguments(encoding, listing, target=target, sound=sound)}


def concat_listing(segments: list[Path], durations: list[Fraction]) -> str:
    """Write the concat demuxer's script; any file name is safe in it, quotes, spaces and `%` included."""
    lines = ["ffconcat version 1.0"]
    for segment, duration in zip(segments, durations, strict=True):
        quoted = _file(segment).replace("'", "'\\''")
        lines += [f"file '{quoted}'", f"duration {float(duration):.6f}"]
    return "\n".join(lines) + "\n"


def _copy_arguments(
    encoding: Encoding, listing: Path, *, target: Path, sound: SoundArguments | None = None
) -> list[str]:
    """Copy the packets of all segments into one file.

    Timestamps are not trusted but made: packet n of the whole is shown at n frames exactly. The concat demuxer adds up
    durations rounded to Matroska's milliseconds, which drifts; the `setts` filter replaces them. That is exact because
    no codec here reorders frames (`-bf 0`; VP9 hides its reference frames inside packets). Without `prescale` the
    filter's `time_base` is not the one that its results are read in (ffmpeg 9.0).
    """
    timescale, ticks = _clock(encoding.rate)
    stamp = f"setts=pts=N*{ticks}:dts=N*{ticks}:duration={ticks}:time_base=1/{timescale}:prescale=1"
    source, codec = (sound.source, sound.codec) if sound is not None else ((), ())
    copied = encoding.codec_used.copied if encoding.codec_used is not None else ()
    return [
        *_QUIET, "-f", "concat", "-safe", "0", "-i", _file(listing), *source,
        "-map", "0:v:0", "-c", "copy", *copied, "-bsf:v", stamp, *codec,
        *_REPRODUCIBLE, *(option.format(timescale=timescale) for option in encoding.spec.container),
        "-y", _file(target),
    ]  # fmt: skip


def _palette_arguments(listing: Path, *, palette: Path) -> list[str]:
    """Choose the 255 colours (and transparency) that serve all frames of a video best."""
    return [
        *_QUIET, "-f", "concat", "-safe", "0", "-i", _file(listing),
        "-vf", "palettegen=stats_mode=full", "-frames:v", "1", "-update", "1",
        *_REPRODUCIBLE, "-f", "image2", "-c:v", "png", "-threads", "1", "-y", _file(palette),
    ]  # fmt: skip


def _dither_arguments(encoding: Encoding, listing: Path, *, palette: Path, target: Path) -> list[str]:
    """Turn the lossless segments in `listing` into an endlessly looping GIF with one palette.

    Two passes instead of one graph with `split`, which would hold the whole video in memory. Ordered dither: error
    diffusion boils from frame to frame, and costs 7 % more bytes.
    """
    tick = f"{encoding.rate.denominator}/{encoding.rate.numerator}"
    graph = f"[0:v]{_numbered(encoding)}format=rgb24[v];[v][1:v]paletteuse=dither=bayer:bayer_scale=3"
    return [
        *_QUIET, "-f", "concat", "-safe", "0", "-i", _file(listing), "-i", _file(palette),
        "-filter_complex_threads", "1", "-lavfi", graph, "-fps_mode", "passthrough", "-enc_time_base", tick,
        "-c:v", "gif", "-threads", "1", *_REPRODUCIBLE, "-loop", "0", "-f", "gif", "-y", _file(target),
    ]  # fmt: skip


def _anew_arguments(encoding: Encoding, listing: Path, *, target: Path) -> list[str]:
    """Turn the lossless segments in `listing` into one WebP that moves, over and over; without loss as the best."""
    tick = f"{encoding.rate.denominator}/{encoding.rate.numerator}"
    how = {"draft": ("0", "60"), "good": ("0", "85"), "best": ("1", "75")}[encoding.quality]
    return [
        *_QUIET, "-f", "concat", "-safe", "0", "-i", _file(listing),
        "-vf", f"{_numbered(encoding)}format=bgra", "-fps_mode", "passthrough", "-enc_time_base", tick,
        "-c:v", "libwebp_anim", "-lossless", how[0], "-quality", how[1], "-threads", "1",
        *_REPRODUCIBLE, "-loop", "0", "-f", "webp", "-y", _file(target),
    ]  # fmt: skip


def _numbered(encoding: Encoding) -> str:
    """The filters by which frame n of what is joined is shown at n frames exactly, and enlarged."""
    tick, upscale = f"{encoding.rate.denominator}/{encoding.rate.numerator}", encoding.upscale
    enlarge = f"scale=iw*{upscale}:ih*{upscale}:flags=lanczos+accurate_rnd+bitexact," if upscale > 1 else ""
    return f"settb={tick},setpts=N,{enlarge}"


def _filter(width: int, height: int, encoding: Encoding) -> str:
    """The filter chain of a segment: enlarged, padded, in the codec's colours. What is encoded again at the join is
    enlarged there: its lossless segments stay small."""
    codec = encoding.codec_used
    colours = codec.colours(encoding) if codec is not None else ""
    if encoding.spec.join in ("palette", "anew"):
        return colours
    upscale, chain = encoding.upscale, []
    if upscale > 1:
        chain.append(f"scale=iw*{upscale}:ih*{upscale}:flags=lanczos+accurate_rnd+full_chroma_int+bitexact")
    full_width, full_height = encoding.size(width, height)
    right, bottom = full_width - width * upscale, full_height - height * upscale
    if right or bottom:
        # Repeats the last column or row: a black edge would bleed into the picture through shared colours.
        chain.append(f"format=gbrp,pad={full_width}:{full_height}:0:0,")
        chain[-1] += f"fillborders=left=0:top=0:right={right}:bottom={bottom}:mode=smear"
    if colours:
        chain.append(colours)
    return ",".join(chain)


def _clock(rate: Fraction) -> tuple[int, int]:
    """(ticks per second, ticks per frame), both whole; at least 10,000 ticks a second, as MP4 players expect."""
    timescale, ticks = rate.numerator, rate.denominator
    while timescale < 10_000:
        timescale, ticks = 2 * timescale, 2 * ticks
    return timescale, ticks


def _file(path: Path) -> str:
    """Absolute and with its protocol named, so no file name is ever taken for an option, a pattern or an address."""
    return f"file:{path.absolute()}"
