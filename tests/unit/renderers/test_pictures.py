"""Pictures of other people's programs, read alike everywhere; ../shared/cases of the project's reports, rebuilt."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from renderers.errors import BadInput
from renderers.frame_rendering.pictures import read_picture
from renderers.pictures import read_rgb
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
