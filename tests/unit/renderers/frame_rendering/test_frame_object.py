import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

from renderers.errors import FrameCorrupt
from renderers.frame_rendering.frame_object import FrameObject
from renderers.frame_rendering.state import FrameState, Moments

DIGEST = "ab" * 32


def frame_object(seed: int = 0, side: int = 12) -> FrameObject:
    chance = torch.Generator().manual_seed(seed)
    first = torch.randn(1, 4, 3, 3, generator=chance)
    state = FrameState(
        torch.randint(0, 32, (1, 3, 3), generator=chance, dtype=torch.int32),
        torch.randint(0, 256, (1, 4, 3, 3), generator=chance, dtype=torch.uint8),
        Moments.of(first, first**2, 5),
    )
    picture = torch.randint(0, 256, (side, side, 3), generator=chance, dtype=torch.uint8).numpy()
    provenance = {
        "digest": DIGEST,
        "row": {"prompt": "ein Apfel – 🍎 \\ \"'"},
        "loss": 0.8125,
        "software": {"nightreel": "0.1"},
    }
    return FrameObject(picture, state, provenance)


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(type, start, stop) of every chunk of a PNG, length and CRC included."""
    position = 8
    while position < len(data):
        (length,) = struct.unpack(">I", data[position : position + 4])
        yield data[position + 4 : position + 8], position, position + length + 12
        position += length + 12


def test_a_frame_comes_back_as_it_was() -> None:
    frame = frame_object()
    again = FrameObject.from_bytes(frame.to_bytes(), DIGEST)
    assert np.array_equal(again.picture, frame.picture)
    assert again.picture.dtype == np.uint8
    assert again.provenance == frame.provenance
    assert again.state.to_bytes() == frame.state.to_bytes()


def test_the_same_frame_is_the_same_bytes() -> None:
    assert frame_object().to_bytes() == frame_object().to_bytes()
    again = FrameObject.from_bytes(frame_object().to_bytes())
    assert again.to_bytes() == frame_object().to_bytes()
    assert frame_object(1).to_bytes() != frame_object().to_bytes()


def test_any_program_sees_the_picture_and_who_made_it() -> None:
    with Image.open(io.BytesIO(frame_object().to_bytes())) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (12, 12))
        assert image.text["Software"] == "nightreel 0.1"


def test_a_state_larger_than_pillows_limit_for_text_comes_back() -> None:
    """Pillow refuses text of more than 1 MiB; the moments of a large frame are more."""
    first = torch.randn(1, 256, 80, 80, generator=torch.Generator().manual_seed(0))
    tokens, latent = torch.zeros(1, 80, 80, dtype=torch.int32), torch.zeros(1, 4, 80, 80, dtype=torch.uint8)
    state = FrameState(tokens, latent, Moments.of(first, first**2, 5))
    assert len(state.to_bytes()) > 1.5 * 2**20
    frame = FrameObject(frame_object().picture, state, frame_object().provenance)
    assert FrameObject.from_bytes(frame.to_bytes()).state.to_bytes() == state.to_bytes()


def test_a_frame_cut_short_anywhere_is_corrupt() -> None:
    data = frame_object().to_bytes()
    for length in range(len(data)):
        with pytest.raises(FrameCorrupt):
            FrameObject.from_bytes(data[:length])


def test_bytes_behind_the_end_are_corrupt() -> None:
    with pytest.raises(FrameCorrupt):
        FrameObject.from_bytes(frame_object().to_bytes() + b"\0")


def test_one_flipped_bit_anywhere_is_corrupt() -> None:
    """In every byte of the signature, of each chunk's length, type, data and CRC; a different bit from byte to byte."""
    data = frame_object().to_bytes()
    kinds = [kind for kind, _, _ in chunks(data)]
    assert kinds == [b"IHDR", b"tEXt", b"zTXt", b"zTXt", b"IDAT", b"IEND"]
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << (position % 8)
        with pytest.raises(FrameCorrupt):
            FrameObject.from_bytes(bytes(damaged))


@pytest.mark.parametrize("kind", [b"IHDR", b"tEXt", b"zTXt", b"IDAT"])
def test_a_chunk_full_of_noise_with_a_good_checksum_never_gets_past(kind: bytes) -> None:
    """Not even a chunk whose CRC was made to fit may end in anything but FrameCorrupt, or in the frame itself."""
    data = frame_object().to_bytes()
    rng = np.random.default_rng(0)
    for name, start, stop in chunks(data):
        if name != kind:
            continue
        for _ in range(20):
            body = bytearray(data[start + 8 : stop - 4])
            for place in rng.integers(0, len(body), size=3):
                body[place] = rng.integers(0, 256)
            chunk = name + bytes(body)
            damaged = data[: start + 4] + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[stop:]
            try:
                FrameObject.from_bytes(damaged, DIGEST)
            except FrameCorrupt:
                continue


@pytest.mark.parametrize("kind", [b"zTXt", b"IDAT"])
def test_a_missing_chunk_is_corrupt(kind: bytes) -> None:
    data = frame_object().to_bytes()
    for name, start, stop in chunks(data):
        if name == kind:
            with pytest.raises(FrameCorrupt):
                FrameObject.from_bytes(data[:start] + data[stop:])


def png(**texts: str) -> bytes:
    info = PngImagePlugin.PngInfo()
    for key, value in texts.items():
        info.add_text(key, value)
    target = io.BytesIO()
    Image.new("RGB", (4, 4)).save(target, format="PNG", pnginfo=info)
    return target.getvalue()


def jpeg() -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (4, 4)).save(target, format="JPEG")
    return target.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a picture",
        png(),
        png(**{"nightreel:provenance": "{}"}),
        png(**{"nightreel:provenance": "{", "nightreel:state": "AAAA"}),
        png(**{"nightreel:provenance": "[1]", "nightreel:state": "AAAA"}),
        png(**{"nightreel:provenance": "{}", "nightreel:state": "€"}),
        jpeg(),
        jpeg() + bytes.fromhex("0000000049454e44ae426082"),
    ],
)
def test_other_files_are_no_frames(data: bytes) -> None:
    with pytest.raises(FrameCorrupt):
        FrameObject.from_bytes(data)


def test_a_foreign_png_is_reported_as_such() -> None:
    with pytest.raises(FrameCorrupt, match="not a nightreel frame"):
        FrameObject.from_bytes(png())


def test_provenance_that_is_no_mapping_is_corrupt() -> None:
    frame = frame_object()
    data = FrameObject(frame.picture, frame.state, frame.provenance).to_bytes()
    for name, start, stop in chunks(data):
        if name == b"zTXt" and data[start + 8 :].startswith(b"nightreel:provenance"):
            chunk = b"zTXtnightreel:provenance\0\0" + zlib.compress(b"[1, 2]")
            body = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
            with pytest.raises(FrameCorrupt):
                FrameObject.from_bytes(data[:start] + body + data[stop:], DIGEST)
            return
    pytest.fail("no provenance chunk")


def test_a_frame_under_another_frames_key_is_corrupt() -> None:
    with pytest.raises(FrameCorrupt, match=r"digest 'abab.*its key says 'cdcd"):
        FrameObject.from_bytes(frame_object().to_bytes(), "cd" * 32)
