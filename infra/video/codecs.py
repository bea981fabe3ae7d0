"""How pictures are encoded by ffmpeg: a codec for each way, as options. Pure data.

All of them keep frames in the order in which they are shown, so that a join can number them, and give the same bytes on
every worker: one thread, since encoders decide differently with the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.video.encoding import Encoding

__all__ = ["AV1", "FFV1", "H264", "H265", "PRORES", "VP9", "Codec"]


@dataclass(frozen=True)
class Codec:
    """ffmpeg's `options` for the stream of a segment, and the filter `colours` from RGB to the colours of the codec,
    where that needs more than its `-pix_fmt`."""

    options: Callable[[Encoding], list[str]]
    colours: Callable[[Encoding], str] = lambda _: ""
    said: str = ""
    """a further filter, which changes no pixel; it is no part of what decides a segment"""
    copied: tuple[str, ...] = ()
    """ffmpeg's options for the stream once it is copied into a finished file"""


# Browsers guess BT.601 for small untagged videos and BT.709 for large ones; convert to and tag as BT.709, always.
_COLOUR_TAGS = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"]
_BT709 = "scale=out_color_matrix=bt709:out_range=tv:flags=lanczos+accurate_rnd+full_chroma_int+bitexact"


def _yuv420(encoding: Encoding) -> str:
    return f"{_BT709},format=yuv420p"


def _x264(encoding: Encoding) -> list[str]:
    """H.264.

    crf 17: where x264 is commonly taken for visually lossless. VQGAN's fine flicker is what higher values smear first,
    and what separates two frames of ours is small; a frame costs a GPU-second, so its bytes are cheap beside it.
    512x512 frames of zooming texture are 1.6 times (with film grain 2.4 times) the size of crf 20.
    bf 0: frames in the order they are shown, so a join can number them. B-frames would save 15 % there, and cost edit
    lists and guessed decode times at every join.
    repeat-headers: each segment brings its own parameter sets, so one from another x264 build plays too.
    """
    crf = {"draft": "23", "good": "17", "best": "12"}[encoding.quality]
    return [
        "-c:v", "libx264", "-preset", "medium", "-crf", crf, "-bf", "0", "-g", _group(encoding),
        "-x264-params", "open-gop=0:cpu-independent=1:repeat-headers=1", "-pix_fmt", "yuv420p", *_COLOUR_TAGS,
        "-threads", "1",
    ]  # fmt: skip


def _x265(encoding: Encoding) -> list[str]:
    """H.265, as Apple's players want it (hvc1). No B-frames, parameter sets in each segment, as H.264 here."""
    crf = {"draft": "26", "good": "19", "best": "14"}[encoding.quality]
    return [
        "-c:v", "libx265", "-preset", "medium", "-crf", crf, "-g", _group(encoding), "-x265-params",
        "bframes=0:open-gop=0:repeat-headers=1:pools=none:frame-threads=1:info=0:log-level=error",
        "-pix_fmt", "yuv420p", "-tag:v", "hvc1", *_COLOUR_TAGS, "-threads", "1",
    ]  # fmt: skip


def _svt_av1(encoding: Encoding) -> list[str]:
    """AV1. Frames that are never shown lie in the packets of shown ones, so that packets are frames in their order."""
    crf = {"draft": "33", "good": "17", "best": "9"}[encoding.quality]
    return [
        "-c:v", "libsvtav1", "-preset", "6", "-crf", crf, "-g", _group(encoding), "-svtav1-params", "lp=1",
        "-pix_fmt", "yuv420p", *_COLOUR_TAGS, "-threads", "1",
    ]  # fmt: skip


def _vp9(encoding: Encoding) -> list[str]:
    """VP9. libvpx's scale ends at 63: 24 has x264's SSIM at crf 17 (.925 beside .926 on grained texture) in 0.6 of its
    size. cpu-used 3 is twice as quick as 1 at the same size."""
    crf = {"draft": "34", "good": "24", "best": "14"}[encoding.quality]
    return [
        "-c:v", "libvpx-vp9", "-crf", crf, "-b:v", "0", "-deadline", "good", "-cpu-used", "3", "-row-mt", "0",
        "-tile-columns", "0", "-lag-in-frames", "16", "-g", _group(encoding), "-pix_fmt", "yuv420p", *_COLOUR_TAGS,
        "-threads", "1",
    ]  # fmt: skip


def _prores_format(encoding: Encoding) -> str:
    return "yuv444p10le" if encoding.quality == "best" else "yuv422p10le"


def _prores(encoding: Encoding) -> list[str]:
    """ProRes, for editing: LT, 422 HQ, 4444. Each frame by itself, 10 bits, `apl0` as Apple's own encoder says."""
    profile = {"draft": "1", "good": "3", "best": "4"}[encoding.quality]
    return [
        "-c:v", "prores_ks", "-profile:v", profile, "-vendor", "apl0", "-pix_fmt", _prores_format(encoding),
        *_COLOUR_TAGS, "-threads", "1",
    ]  # fmt: skip


def _ffv1(encoding: Encoding) -> list[str]:
    """FFV1, lossless: each frame by itself, and with a checksum per slice."""
    return ["-c:v", "ffv1", "-level", "3", "-g", "1", "-slicecrc", "1", "-pix_fmt", "bgr0", "-threads", "1"]


def _group(encoding: Encoding) -> str:
    """A key frame at least every 4 seconds keeps seeking quick in a player; every segment begins with one anyway."""
    return str(max(1, round(4 * encoding.rate)))


# Filters hand primaries and transfer on as unknown, whatever the options say. Segments of H.264 and VP9 were made
# without for long: to count them among what decides a segment would encode those of every old output anew, for a word
# about their colours. The finished file says it of the old ones, too.
_SAID = "setparams=color_primaries=bt709:color_trc=bt709"

H264 = Codec(_x264, _yuv420, said=_SAID, copied=tuple(_COLOUR_TAGS))
H265 = Codec(_x265, lambda encoding: f"{_yuv420(encoding)},{_SAID}", copied=("-tag:v", "hvc1"))
AV1 = Codec(_svt_av1, lambda encoding: f"{_yuv420(encoding)},{_SAID}")
VP9 = Codec(_vp9, _yuv420, said=_SAID, copied=tuple(_COLOUR_TAGS))
PRORES = Codec(_prores, lambda encoding: f"{_BT709},format={_prores_format(encoding)},{_SAID}")
FFV1 = Codec(_ffv1)
