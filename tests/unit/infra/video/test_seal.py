import hashlib
from pathlib import Path

import pytest

from infra.video.encoding import Encoding
from infra.video.errors import VideoDefect
from infra.video.seal import SEAL_BYTES, SegmentInfo, read_seal, require_fitting, seal

MP4 = Encoding("mp4", 23.976, 2)
INFO = SegmentInfo(MP4, 12, 512, 384)
BODY = bytes(range(256)) * 30


def write(path: Path, body: bytes = BODY, info: SegmentInfo = INFO) -> Path:
    path.write_bytes(body + seal(body, info))
    return path


def test_a_seal_tells_what_was_sealed(tmp_path: Path) -> None:
    assert read_seal(write(tmp_path / "a.seg")) == INFO


def test_a_seal_is_one_void_element_of_matroska() -> None:
    block = seal(BODY, INFO)
    assert len(block) == SEAL_BYTES
    assert block[:2] == b"\xec\x01"
    assert int.from_bytes(block[2:9], "big") == len(block) - 9


def test_seals_of_old_segments_keep_their_bytes() -> None:
    text = (
        '{"nightreel":"segment","format":"mp4","frames":12,"rate":"24000/1001","size":[512,384],"upscale":2,'
        f'"sha256":"{hashlib.sha256(BODY).hexdigest()}"}}'
    )
    assert seal(BODY, INFO)[9:] == text.encode().ljust(SEAL_BYTES - 9)


@pytest.mark.parametrize("text", ["[]", "null", '{"frames":1}', '{"nightreel":"segment","format":"mp5","frames":1,'
    '"rate":"24/1","size":[8,8],"upscale":1,"sha256":""}'])  # fmt: skip
def test_a_seal_that_says_something_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.seg").write_bytes(BODY + seal(BODY, INFO)[:9] + text.encode().ljust(SEAL_BYTES - 9))
    with pytest.raises(VideoDefect, match=r"'a\.seg' .* has no valid seal"):
        read_seal(tmp_path / "a.seg")


def test_the_longest_values_fit() -> None:
    assert len(seal(b"", SegmentInfo(Encoding("webm", 239.76, 8), 10**9, 10**6, 10**6))) == SEAL_BYTES


@pytest.mark.parametrize("place", [0, len(BODY) // 2, len(BODY) - 1])
def test_one_flipped_bit_is_noticed_and_the_segment_named(tmp_path: Path, place: int) -> None:
    path = write(tmp_path / "reef-12.seg")
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(VideoDefect, match=r"segment 'reef-12\.seg' .* is damaged"):
        read_seal(path)


@pytest.mark.parametrize("length", [0, 1, SEAL_BYTES - 1, SEAL_BYTES, len(BODY), len(BODY) + SEAL_BYTES - 1])
def test_a_cut_anywhere_is_noticed_and_the_segment_named(tmp_path: Path, length: int) -> None:
    path = write(tmp_path / "reef-12.seg")
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(VideoDefect, match=r"segment 'reef-12\.seg' .* cut short"):
        read_seal(path)


def test_a_missing_segment_is_named(tmp_path: Path) -> None:
    with pytest.raises(VideoDefect, match=r"segment 'gone\.seg' cannot be read"):
        read_seal(tmp_path / "gone.seg")


def test_segments_that_do_not_fit_together_are_named(tmp_path: Path) -> None:
    good = write(tmp_path / "a.seg")
    small = write(tmp_path / "b.seg", info=SegmentInfo(MP4, 12, 64, 64))
    with pytest.raises(VideoDefect, match=r"'b\.seg' is mp4 64x64 .*; the video is mp4 512x384 at 23\.976 fps"):
        require_fitting([good, small], MP4, frames=24)
    with pytest.raises(VideoDefect, match=r"'a\.seg' is mp4 .*; the video is webm"):
        require_fitting([good], Encoding("webm", 23.976, 2), frames=12)
    with pytest.raises(VideoDefect, match=r"hold 12 frames, the video must have 13 \('a\.seg': 12\)"):
        require_fitting([good], MP4, frames=13)
    with pytest.raises(VideoDefect, match="no segments to join, 13 frames expected"):
        require_fitting([], MP4, frames=13)
    assert require_fitting([good, good], MP4, frames=24) == [INFO, INFO]
