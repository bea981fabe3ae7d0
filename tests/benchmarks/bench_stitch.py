"""Stitching by copying segments against encoding all frames again from PNGs, on this machine.

    python -m tests.benchmarks.bench_stitch [--frames 10000] [--side 512] [--range 50] [--repeats 3] [--slow-repeats 1]

All ways begin with what lies in storage (sealed segments; PNG frames) and end with the same number of frames in an
H.264 mp4: copying, with all its checks; our own encoder fed with the PNGs, with the same checks; and what VQGAN-CLIP's
users do, PNGs piped into x264 `veryslow` at crf 17 on all cores, nothing checked. Encoding the segments is not counted
in the first: it happens on the workers while they render, and its seconds are printed beside it. The pictures are a
moving texture with noise, about as hard to encode as ours; they are made once and cycled, so the benchmark needs no
renderer.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from infra.video.encoding import Encoding
from infra.video.ffmpeg import check, ffmpeg_version
from infra.video.png_sequence import encode_png
from infra.video.seal import SEAL_BYTES
from infra.video.segments import FULL_DECODE_FRAMES, encode_segment, join_segments
from tests.benchmarks.machine import machine

FPS = 24
ENCODING = Encoding("mp4", FPS, 1)


def texture(count: int, side: int) -> list[NDArray[np.uint8]]:
    """A zoom into smoothed noise, with a little fresh grain on each frame."""
    rng = np.random.default_rng(0)
    base = Image.fromarray(rng.integers(0, 256, (48, 48, 3), np.uint8)).resize(
        (2 * side, 2 * side), Image.Resampling.BICUBIC
    )
    frames = []
    for t in range(count):
        edge = side * 0.4 * t / count
        box = (edge, edge, 2 * side - edge, 2 * side - edge)
        view = np.asarray(base.resize((side, side), Image.Resampling.BILINEAR, box=box), np.int16)
        grain = rng.integers(-6, 7, (side, side, 1), np.int16)
        frames.append((view + grain).clip(0, 255).astype(np.uint8))
    return frames


def timed(repeats: int, work: Callable[[], object]) -> tuple[float, float, float]:
    """Median, least and greatest wall seconds."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), min(seconds), max(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--range", type=int, default=50, help="frames of one segment")
    parser.add_argument("--repeats", type=int, default=3, help="of copying")
    parser.add_argument("--slow-repeats", type=int, default=1, help="of encoding")
    chosen = parser.parse_args()
    print(f"{machine()}, ffmpeg {ffmpeg_version()}")
    compare(chosen.frames, chosen.side, chosen.range, chosen.repeats, chosen.slow_repeats)


def compare(frames: int, side: int, length: int, repeats: int, slow_repeats: int) -> float:
    """Print all ways' figures for segments of `length` frames; returns how many times as quick copying is as our own
    encoder."""
    print(
        f"{frames} frames of {side}x{side}, segments of {length}, median of {repeats} (copying), {slow_repeats} (else)"
    )

    # Whole cycles of one segment's length: no cut falls elsewhere than where segments begin anyway.
    pictures = texture(length, side)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start = time.perf_counter()
        sealed = encode_segment(pictures, ENCODING)
        encode = (time.perf_counter() - start) / len(pictures) * frames
        segments = []
        for number in range(frames // length):
            segments.append(folder / f"{number:06d}.seg")
            segments[-1].write_bytes(sealed)
        if rest := frames % length:
            segments.append(folder / "rest.seg")
            segments[-1].write_bytes(encode_segment(pictures[:rest], ENCODING))
        stored = []
        for number, picture in enumerate(pictures):
            stored.append(folder / f"{number}.png")
            stored[-1].write_bytes(encode_png(picture))
        target = folder / "video.mp4"

        def copy() -> None:
            join_segments(segments, ENCODING, frames=frames, target=target)

        def again() -> None:
            def decoded() -> Iterator[NDArray[np.uint8]]:
                for number in range(frames):
                    yield np.asarray(Image.open(stored[number % len(stored)]).convert("RGB"))

            data = encode_segment(decoded(), ENCODING)
            whole = folder / "whole.seg"
            whole.write_bytes(data)
            join_segments([whole], ENCODING, frames=frames, target=folder / "again.mp4")

        def peer() -> None:
            command = [
                imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", "-f", "image2pipe", "-vcodec", "png",
                "-r", str(FPS), "-i", "-", "-vcodec", "libx264", "-r", str(FPS), "-pix_fmt", "yuv420p", "-crf", "17",
                "-preset", "veryslow", str(folder / "peer.mp4"),
            ]  # fmt: skip
            with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
                assert process.stdin is not None
                for number in range(frames):
                    process.stdin.write(stored[number % len(stored)].read_bytes())
            if process.returncode:
                raise RuntimeError(f"ffmpeg ended with {process.returncode}")

        def verify() -> None:
            tail = frames - length if frames > FULL_DECODE_FRAMES else 0
            check(target, ENCODING, frames=frames, decode_from=tail)

        rows = {"copy segments, all checks": timed(repeats, copy)}
        rows["  of it: decode and check the result"] = timed(repeats, verify)
        rows["pipe PNGs into our encoder, all checks"] = timed(slow_repeats, again)
        rows["pipe PNGs into x264 veryslow, no checks"] = timed(slow_repeats, peer)
        size = target.stat().st_size
        for label, (median, least, most) in rows.items():
            print(f"{label:42} {median:8.2f} s   ({least:.2f} to {most:.2f})   {frames / median:8.0f} frames/s")
        quick, slow, slowest = (rows[label][0] for label in rows if not label.startswith(" "))
        print(
            f"copying is {slow / quick:.1f} times as quick as our encoder, {slowest / quick:.1f} times as veryslow; "
            f"{size / 1e6:.1f} MB, {(size / frames) / 1e3:.1f} kB a frame"
        )
        print(f"encoding and verifying the segments, spread over the workers: {encode:.1f} s in all")
        print(f"a seal adds {SEAL_BYTES} bytes to a segment of {len(sealed):,}")
    return slow / quick


def test_stitch() -> None:
    """For `make bench`, short: the point of stitching by copying is that it is the quicker way."""
    print(f"\n{machine()}, ffmpeg {ffmpeg_version()}")
    assert compare(400, 256, 50, 1, 1) > 1


if __name__ == "__main__":
    main()
