"""Pictures of other people's programs, read alike everywhere; ../shared/cases of the project's reports, rebuilt."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from renderers.errors import BadInput
from renderers.frame_rendering.pictures import read_picture
from renderers.pictures import colours, memory
from renderers.pictures.memory import largest_size
from renderers.pictures.reading import check_picture, read_rgb
from renderers.training.picture_files import read_picture as read_training_picture


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, format=kind, **options)  # type: ignore[arg-type]
    return target.getvalue()


def transparent(mode: str) -> bytes:
    """Noise under full transparency, and an opaque grey square in the middle."""
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 4), dtype=np.uint8)
    noise[..., 3] = 0
    noise[8:24, 8:24] = (100, 100, 100, 255)
    return saved(Image.fromarray(noise, "RGBA").convert(mode))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_hidden_under_transparency_never_shows(mode: str, tmp_path: Path) -> None:
    data = transparent(mode)
    expected = np.full((32, 32, 3), 255, np.uint8)
    expected[8:24, 8:24] = 100
    seen = np.asarray(read_rgb(data, "a.png"))
    np.testing.assert_allclose(seen, expected, atol=0)
    start = read_picture({"a": data}, "a", 32, 32)[0].permute(1, 2, 0).numpy() * 255
    np.testing.assert_allclose(start, seen, atol=0.01)
    (tmp_path / "a.png").write_bytes(data)
    np.testing.assert_array_equal(read_training_picture(tmp_path / "a.png", shortest=32), seen)


@pytest.mark.parametrize("name", ["rgba_hidden_noise.png", "logo_on_transparent_black.png"])
def test_the_pictures_of_reports_lie_on_white(cases: Path, name: str) -> None:
    with Image.open(cases / name) as image:
        hidden = np.asarray(image.convert("RGBA").getchannel("A")) == 0
    assert hidden.any()
    assert (np.asarray(read_rgb(cases / name, name))[hidden] == 255).all()


def test_a_transparent_colour_of_a_palette_is_white() -> None:
    picture = Image.new("P", (4, 4), 0)
    picture.putpalette([200, 0, 0, 0, 200, 0])
    assert np.asarray(read_rgb(saved(picture, transparency=0), "a")).min() == 255


def test_half_transparent_is_half_white() -> None:
    assert read_rgb(saved(Image.new("RGBA", (2, 2), (0, 0, 0, 128))), "a").getpixel((0, 0)) == (127, 127, 127)


RAMP = np.linspace(0, 1, 256)[None].repeat(4, 0)


@pytest.mark.parametrize(
    ("pixels", "kind"),
    [
        ((RAMP * 65535).astype(np.uint16), "PNG"),
        ((RAMP * 65535).astype(np.uint16), "TIFF"),
        ((RAMP * (2**31 - 1)).astype(np.int32), "TIFF"),
        (RAMP.astype(np.float32), "TIFF"),
        ((RAMP * 1000).astype(np.float32), "TIFF"),
        ((RAMP * 255).astype(np.uint8), "PNG"),
    ],
    ids=["png16", "tiff16", "tiff32", "float", "float1000", "png8"],
)
def test_a_ramp_of_any_depth_is_a_ramp(pixels: np.ndarray, kind: str) -> None:
    seen = np.asarray(read_rgb(saved(Image.fromarray(pixels), kind), "a"))[0, :, 0].astype(int)
    np.testing.assert_allclose(seen, np.arange(256), atol=1)


def test_floats_that_are_no_numbers_are_black() -> None:
    pixels = np.array([[np.nan, np.inf, -1.0, 1.0]], np.float32)
    assert np.asarray(read_rgb(saved(Image.fromarray(pixels), "TIFF"), "a"))[0, :, 0].tolist() == [0, 0, 0, 255]


def test_a_colour_profile_is_applied() -> None:
    """The same lightness and colour given in another space, made here by the inverse conversion."""
    colours = Image.fromarray(np.random.default_rng(1).integers(60, 200, (8, 8, 3), dtype=np.uint8))
    srgb = ImageCms.createProfile("sRGB")
    lab = ImageCms.createProfile("LAB")
    gray = saved(colours.convert("L"), icc_profile=ImageCms.ImageCmsProfile(srgb).tobytes())
    # a profile of another kind of colour than the picture's says nothing about it
    np.testing.assert_array_equal(np.asarray(read_rgb(gray, "a")), np.asarray(colours.convert("L").convert("RGB")))
    strange = saved(colours, icc_profile=ImageCms.ImageCmsProfile(lab).tobytes())
    np.testing.assert_array_equal(np.asarray(read_rgb(strange, "a")), np.asarray(colours))
    broken = saved(colours, icc_profile=b"\x00" * 200)
    np.testing.assert_array_equal(np.asarray(read_rgb(broken, "a")), np.asarray(colours))


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("L", "PNG"), ("LA", "PNG"), ("1", "PNG"), ("I;16", "PNG"), ("L", "JPEG"), ("L", "TIFF"), ("F", "TIFF"),
     ("L", "WEBP"), ("CMYK", "JPEG"), ("LAB", "TIFF"), ("YCbCr", "TIFF"), ("P", "PNG"), ("RGBA", "WEBP"),
     ("RGB", "AVIF")],
)  # fmt: skip
@pytest.mark.parametrize("space", ["GRAY", "RGB", "CMYK", "LAB", "none"])
def test_a_profile_of_any_other_kind_than_the_pictures_changes_nothing(
    mode: str, kind: str, space: str, cases: Path
) -> None:
    """And fails no row; where it fits, the picture is converted, and only the colours may differ."""
    colour = Image.new("RGB", (8, 8), (180, 90, 60))
    others = {"LAB": Image.new("LAB", (8, 8), (90, 120, 140)), "I;16": colour.convert("L").convert("I;16")}
    picture = others[mode] if mode in others else colour.convert(mode)
    profile = _profile_of(space, cases)
    plain = np.asarray(read_rgb(saved(picture, kind), "a"))
    seen = np.asarray(read_rgb(saved(picture, kind, icc_profile=profile), "a"))
    assert seen.shape == plain.shape
    fits = {"GRAY": ("L", "LA", "1", "I;16", "F"), "RGB": ("P", "RGBA", "RGB", "YCbCr"), "CMYK": ("CMYK",)}
    if mode not in fits.get(space, ()) and not (kind == "WEBP" and mode == "L"):  # WebP has no grey
        np.testing.assert_array_equal(seen, plain)


def _profile_of(space: str, cases: Path) -> bytes:
    """A real profile of Adobe RGB, said to be of `space`; none that can be read for `none`."""
    with Image.open(cases / "wide_gamut_adobe.jpg") as image:
        adobe = bytes(image.info["icc_profile"])
    return b"no profile" if space == "none" else adobe[:16] + space.ljust(4).encode() + adobe[20:]


@pytest.mark.parametrize("grey", [False, True])
def test_the_profile_of_a_gif_is_applied(grey: bool, cases: Path) -> None:
    """Pillow does not read it; the colours of its palette are RGB, also where all of them are grey."""
    picture = Image.new("RGB", (8, 8), (120, 120, 120) if grey else (180, 90, 60))
    gif, profile = saved(picture.convert("L") if grey else picture, "GIF"), _profile_of("RGB ", cases)
    blocks = b"".join(
        bytes([len(part)]) + part for part in (profile[at : at + 255] for at in range(0, len(profile), 255))
    )
    place = 13 + 3 * 2 ** ((gif[10] & 7) + 1)  # after the palette
    for written, same in ((blocks, False), (b"\x04none", True), (blocks[:256], True)):
        given = gif[:place] + b"!\xff\x0bICCRGBG1012" + written + b"\0" + gif[place:]
        seen = np.asarray(read_rgb(given, "a"))
        like = saved(picture, "PNG", **({} if same else {"icc_profile": profile}))
        np.testing.assert_array_equal(seen, np.asarray(read_rgb(like, "a")))


def test_a_wide_gamut_looks_as_it_was_meant(cases: Path) -> None:
    """Both files show the same colours, one of them in Adobe RGB."""
    wide = np.asarray(read_rgb(cases / "wide_gamut_adobe.jpg", "a")).astype(int)
    plain = np.asarray(read_rgb(cases / "same_colours_srgb.png", "a")).astype(int)
    assert np.abs(wide - plain).mean() < 2
    with Image.open(cases / "wide_gamut_adobe.jpg") as image:
        assert np.abs(np.asarray(image).astype(int) - plain).mean() > 5, "without its profile it looks otherwise"


def test_a_telephones_picture_is_refused_by_its_name(cases: Path) -> None:
    with pytest.raises(BadInput, match=r"phone.heic' is a HEIC picture.* save it as JPEG or PNG"):
        read_rgb(cases / "phone.heic", "phone.heic")


def test_a_line_of_pixels_is_refused_and_a_long_picture_is_cropped_before_it_is_enlarged() -> None:
    line = saved(Image.new("L", (1, 2000)))
    with pytest.raises(BadInput, match=r"its sides, 1 x 2000 pixels, differ by more than 100 times: crop it"):
        read_picture({"a": line}, "a", 512, 512)
    tracemalloc.start()
    long = saved(Image.new("RGB", (10, 900), (9, 9, 9)))
    assert read_picture({"a": long}, "a", 1024, 1024).mean() == pytest.approx(9 / 255)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100e6


def test_programs_are_never_called() -> None:
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    with pytest.raises(BadInput, match="of no known kind"):
        read_rgb(postscript, "a.eps")


def png16(values: np.ndarray, transparent: int) -> bytes:
    """Four rows of 16-bit gray, in which `transparent` stands for nothing: Pillow writes none."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", len(values), 4, 16, 0, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress((b"\0" + values.astype(">u2").tobytes()) * 4))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"tRNS", struct.pack(">H", transparent)) + rows + chunk(b"IEND", b"")


def tiff(pixels: np.ndarray, sample_format: int) -> bytes:
    """A TIFF of one channel, of kinds that Pillow reads and does not write."""
    height, width = pixels.shape
    tags = [(256, width), (257, height), (258, pixels.itemsize * 8), (259, 1), (262, 1), (273, 0), (277, 1),
            (278, height), (279, pixels.nbytes), (339, sample_format)]  # fmt: skip
    start = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, start if tag == 273 else value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + pixels.tobytes()


def test_sixteen_bits_with_a_transparent_number_keep_their_ramp() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)
    seen = np.asarray(read_rgb(png16(ramp, int(ramp[128])), "a"))[0, :, 0].astype(int)
    expected = np.where(np.arange(256) == 128, 255, np.arange(256))
    np.testing.assert_allclose(seen, expected, atol=1)


@pytest.mark.parametrize(
    ("kind", "sample_format", "largest"), [("<u4", 1, 2**32 - 1), ("<i2", 2, 2**15 - 1), ("<u4", 1, 2**31 - 1)]
)
def test_whole_numbers_of_any_kind_are_a_ramp(kind: str, sample_format: int, largest: int) -> None:
    seen = np.asarray(read_rgb(tiff((RAMP * largest).astype(kind), sample_format), "a"))[0, :, 0].astype(int)
    np.testing.assert_allclose(seen, np.arange(256), atol=1)


@pytest.mark.parametrize("brand", ["heif", "hevm", "hevs"])
def test_every_kind_of_heic_is_named(brand: str) -> None:
    with pytest.raises(BadInput, match="is a HEIC picture"):
        read_rgb(b"\0\0\0\x1cftyp" + brand.encode() + b"\0\0\0\0mif1heic" + bytes(100), "a")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_a_picture_is_turned_as_its_camera_meant_it_whatever_the_bands(
    turn: int, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = Image.fromarray(np.random.default_rng(2).integers(0, 256, (13, 7, 3), dtype=np.uint8)).convert(mode)
    exif = Image.Exif()
    exif[274] = turn
    data = saved(pixels, exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    np.testing.assert_array_equal(np.asarray(read_rgb(data, "a")), expected)
    monkeypatch.setattr(colours, "_BAND", 20)
    np.testing.assert_array_equal(np.asarray(read_rgb(data, "a")), expected)


@pytest.mark.parametrize(
    ("mode", "kind", "options", "most"),
    [
        ("RGB", "JPEG", {}, 64), ("RGB", "PNG", {}, 64), ("RGBA", "PNG", {}, 64), ("I;16", "PNG", {}, 64),
        ("RGBA", "WEBP", {"lossless": True}, 20), ("RGB", "AVIF", {"speed": 10}, 22), ("F", "TIFF", {}, 60),
        ("RGB", "JPEG", {"progressive": True, "subsampling": 0}, 48), ("CMYK", "TIFF", {}, 60),
    ],
)  # fmt: skip
def test_the_limit_is_that_of_the_memory(mode: str, kind: str, options: dict[str, object], most: int) -> None:
    with Image.open(io.BytesIO(saved(Image.new(mode, (64, 64)), kind, **options))) as image:
        assert largest_size(image, image.size).pixels == most * 1_000_000


def test_a_picture_that_would_take_too_much_memory_says_the_limit_of_its_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "MAX_BYTES", 24_000_000)  # a 40th, for a small picture
    data = saved(Image.new("RGBA", (1100, 1000)), "WEBP", lossless=True)
    said = (
        "1100 x 1000 pixels exceed the limit of 1 million for WEBP pictures: scale it down, or save it as JPEG or PNG"
    )
    with pytest.raises(BadInput, match=said):
        read_rgb(data, "a.webp")
    with pytest.raises(BadInput, match=said):
        check_picture(io.BytesIO(data), "a.webp")
    assert read_rgb(saved(Image.new("RGBA", (1000, 1000)), "WEBP"), "a").size == (1000, 1000)


MEASURED = """
import io, resource, sys
from PIL import Image
from renderers.pictures.memory import largest_size
from renderers.pictures.reading import check_picture, read_rgb
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
read_rgb(open(sys.argv[1], 'rb').read(), 'small')
before = peak()
read_rgb(open(sys.argv[2], 'rb').read(), 'large')
print(peak() - before)
"""


@pytest.mark.parametrize(("mode", "kind", "cost"), [("RGBA", "PNG", 7), ("F", "TIFF", 8), ("RGBA", "WEBP", 24)])
def test_reading_takes_no_more_memory_than_is_counted(mode: str, kind: str, cost: int, tmp_path: Path) -> None:
    by_kind: dict[str, dict[str, object]] = {"TIFF": {"compression": "tiff_adobe_deflate"}, "WEBP": {"lossless": True}}
    options = by_kind.get(kind, {})
    for name, side in (("small", 8), ("large", 2500)):
        (tmp_path / name).write_bytes(saved(Image.new(mode, (side, side)), kind, **options))
    command = [sys.executable, "-c", MEASURED, str(tmp_path / "small"), str(tmp_path / "large")]
    taken = int(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)
    assert taken < cost * 2500**2 + 25_000_000, "besides a band of rows"
