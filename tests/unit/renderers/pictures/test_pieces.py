"""Pictures of few pixels and many pieces: what they cost, and that those of real programs are read as before."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from renderers.errors import BadInput
from renderers.pictures.memory import largest_size
from renderers.pictures.pieces import MOST_PIECES, MOST_SCANS, check_pieces
from renderers.pictures.reading import check_picture, read_rgb

RED = (200, 60, 30)
GIF = b"GIF89a\x10\0\x10\0\x80\0\0" + bytes(RED) + b"\0\0\0"
GIF_PICTURE = b",\0\0\0\0\x01\0\x01\0\0\x02\x02L\x01\0;"


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, format=kind, **options)
    return target.getvalue()


def chunk(name: bytes, data: bytes = b"") -> bytes:
    return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")


def png(depth: int, kind: int, rows: bytes, before: bytes = b"") -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, depth, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + before + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND")


def png_of_chunks(count: int) -> bytes:
    return png(8, 2, (b"\0" + bytes(RED) * 8) * 8, chunk(b"tEXt", b"k\0x") * count)


def gif_of_comments(count: int) -> bytes:
    return GIF + b"!\xfe\x01x\0" * (count // 2) + GIF_PICTURE


def gif_of_one_comment(count: int) -> bytes:
    return GIF + b"!\xfe" + b"\x01x" * (count - 1) + b"\0" + GIF_PICTURE


def jpeg_of_comments(count: int) -> bytes:
    data = saved(Image.new("RGB", (8, 8), RED), "JPEG")
    return data[:2] + b"\xff\xfe\0\2" * count + data[2:]


def jpeg_of_scans(count: int) -> bytes:
    data = saved(Image.new("RGB", (64, 64), RED), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * max(0, count - 10) + b"\xff\xd9"


def tiff(bits: int, photometric: int, data: bytes, tile: int = 0, strips: int = 1) -> bytes:
    """8 x 8 greys of `bits`."""
    place = 8 + 2 + 12 * (9 if tile else 8) + 4
    offset, count = (324, 325) if tile else (273, 279)
    more = {322: (4, 1, tile), 323: (4, 1, tile)} if tile else {278: (4, 1, 8)}
    tags = {256: (4, 1, 8), 257: (4, 1, 8), 258: (3, 1, bits), 259: (3, 1, 8 if tile else 1), 262: (3, 1, photometric),
            offset: (4, strips, place), count: (4, 1, len(data)), **more}  # fmt: skip
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags))
    return head + b"".join(struct.pack("<HHII", tag, *value) for tag, value in sorted(tags.items())) + b"\0" * 4 + data


@pytest.mark.parametrize(
    ("make", "most", "said"),
    [
        (png_of_chunks, MOST_PIECES, "it has more than 50,000 chunks"),
        (gif_of_comments, MOST_PIECES, "it has more than 50,000 blocks before its picture"),
        (gif_of_one_comment, MOST_PIECES, "it has more than 50,000 blocks before its picture"),
        (jpeg_of_comments, MOST_PIECES, "it has more than 50,000 segments"),
        (jpeg_of_scans, MOST_SCANS, "it has more than 100 scans"),
        (lambda count: tiff(8, 1, b"\x80" * 64, strips=count), 500_000, "it has more than 500,000 numbers in a tag"),
    ],
)
def test_a_picture_of_more_pieces_than_any_real_one_is_refused(
    make: Callable[[int], bytes], most: int, said: str
) -> None:
    """Of 48 MB of comments came 2 GB; 300 scans took 4 s, a file may have a hundred thousand."""
    many = make(most + 10)
    for read in (lambda: read_rgb(many, "a"), lambda: check_picture(io.BytesIO(many), "a")):
        with pytest.raises(BadInput, match=f"'a' is not a picture that can be read .{said}"):
            read()
    if make(1)[:2] != b"II":
        few = make(most // 2)
        assert read_rgb(few, "a").size == Image.open(io.BytesIO(few)).size


def test_a_tile_that_is_larger_than_its_picture_is_not_unpacked() -> None:
    """Of 16,384 x 16,384 pixels: 768 MB for a picture of 32 x 32."""
    with pytest.raises(BadInput, match="it has tiles of 16,384 x 16,384 pixels"):
        read_rgb(tiff(8, 1, zlib.compress(b"\0" * 100), tile=16384), "a")


def test_a_jpeg_whose_colours_come_in_scans_of_their_own_is_held_like_a_progressive_one() -> None:
    """One of 64 million pixels took 613 MB."""
    grey = saved(Image.new("L", (1000, 1000), 120), "JPEG")
    frame, scan = grey.index(b"\xff\xc0"), grey.index(b"\xff\xda")
    parts = b"".join(bytes((channel, 0x11, 0)) for channel in (1, 2, 3))
    three = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, 1000, 1000, 3) + parts
    data = grey[:frame] + three + grey[frame + 13 : scan]
    for channel in (1, 2, 3):
        data += b"\xff\xda\0\x08\1" + bytes((channel, 0, 0, 63, 0)) + grey[scan + 10 : -2]
    data += b"\xff\xd9"
    assert check_pieces(io.BytesIO(data)) == 3
    assert read_rgb(data, "a").size == (1000, 1000)
    with Image.open(io.BytesIO(data)) as image:
        assert largest_size(image, image.size, 3).pixels == 48_000_000
        assert largest_size(image, image.size, 3).kind == " for JPEG of several scans"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"])
def test_counting_leaves_the_file_at_its_beginning_and_minds_no_damage(kind: str) -> None:
    whole = saved(Image.effect_noise((64, 64), 50).convert("RGB"), kind)
    for end in (len(whole), *range(0, len(whole), max(1, len(whole) // 50))):
        file = io.BytesIO(whole[:end])
        check_pieces(file)
        assert file.tell() == 0


def test_a_palette_that_is_not_there_is_the_fault_of_the_picture() -> None:
    with pytest.raises(BadInput, match="'a' is not a picture that can be read"):
        read_rgb(png(8, 3, (b"\0" * 9) * 8), "a")


def test_the_warnings_of_odd_tags_are_not_for_people(tmp_path: Path) -> None:
    """A picture may have thousands, each with a path of this machine."""
    picture = tmp_path / "a.png"
    odd = chunk(b"eXIf", b"II*\0\xff\xff\xff\xff")
    picture.write_bytes(png(8, 2, (b"\0" + bytes(RED) * 8) * 8, odd))
    read = (
        "import sys, pathlib; from renderers.pictures.reading import read_rgb; read_rgb(pathlib.Path(sys.argv[1]), 'a')"
    )
    said = subprocess.run([sys.executable, "-c", read, str(picture)], check=True, capture_output=True, timeout=60)
    assert said.stderr == b""


@pytest.mark.parametrize(
    ("data", "grey"),
    [
        (tiff(16, 0, struct.pack("<H", 55 * 257) * 64), 200),  # white is zero
        (tiff(16, 1, struct.pack("<H", 55 * 257) * 64), 55),
        (tiff(12, 1, b"\x80\x08\x00" * 32), 128),
        (png(4, 0, (b"\0" + b"\x88" * 4) * 8, chunk(b"tRNS", b"\0\x08")), 255),
        (png(4, 0, (b"\0" + b"\x88" * 4) * 8, chunk(b"tRNS", b"\0\x09")), 136),
        (png(2, 0, (b"\0" + b"\xaa" * 2) * 8, chunk(b"tRNS", b"\0\x02")), 255),
    ],
)
def test_greys_of_other_depths(data: bytes, grey: int) -> None:
    np.testing.assert_array_equal(np.asarray(read_rgb(data, "a")), grey)
