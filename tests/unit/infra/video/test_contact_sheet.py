import io

import numpy as np
import pytest
from PIL import Image

from infra.video.contact_sheet import MAX_CELLS, contact_sheet, poster


def plain(colour: tuple[int, int, int], height: int = 64, width: int = 64) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def opened(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    return image


def test_every_picture_is_in_its_cell_in_reading_order() -> None:
    colours = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0), (0, 250, 250)]
    sheet = opened(contact_sheet([plain(c) for c in colours], [""] * 5, columns=3, cell=40))
    assert sheet.size == (6 + 3 * 46, 6 + 2 * 46)
    found = [sheet.getpixel((6 + n % 3 * 46 + 20, 6 + n // 3 * 46 + 20)) for n in range(5)]
    assert found == colours
    assert sheet.getpixel((6 + 2 * 46 + 20, 6 + 46 + 20)) == (24, 24, 27)  # the sixth cell is empty


def test_shape_is_kept_and_wide_pictures_leave_no_bands() -> None:
    sheet = opened(contact_sheet([plain((255, 255, 255), 32, 64)] * 4, [""] * 4, columns=2, cell=80))
    assert sheet.size == (6 + 2 * 86, 6 + 2 * 46)


def test_labels_stand_beneath_and_never_leave_their_cell() -> None:
    pictures = [plain((0, 0, 0))] * 2
    bare = opened(contact_sheet(pictures, ["", ""], columns=2, cell=100))
    sheet = opened(contact_sheet(pictures, ["frame 12 and " * 40, ""], columns=2, cell=100))
    assert sheet.width == bare.width
    caption = np.asarray(sheet)[6 + 100 :]
    inked = (caption > 100).any(axis=(0, 2)).nonzero()[0]
    assert len(inked)
    assert inked.min() >= 6
    assert inked.max() < 6 + 100


def test_equal_input_gives_equal_bytes() -> None:
    pictures = [np.random.default_rng(n).integers(0, 256, (64, 48, 3), np.uint8) for n in range(5)]
    assert contact_sheet(pictures, list("abcde")) == contact_sheet(pictures, list("abcde"))


def test_a_sheet_of_any_count_is_no_ribbon() -> None:
    for count in range(1, MAX_CELLS + 1):
        sheet = opened(contact_sheet([plain((9, 9, 9), 16, 16)] * count, [""] * count, cell=16))
        assert sheet.width * sheet.height >= count * 16 * 16
        if count >= 4:
            assert 0.6 < sheet.width / sheet.height < 3


@pytest.mark.parametrize(
    ("pictures", "labels", "options", "message"),
    [
        ([], [], {}, "0 pictures"),
        ([plain((0, 0, 0))] * 61, [""] * 61, {}, "61 pictures: a contact sheet shows 1 to 60"),
        ([plain((0, 0, 0))], [], {}, "0 labels for 1 pictures"),
        ([plain((0, 0, 0))], [""], {"cell": 8}, "cell 8"),
        ([plain((0, 0, 0))], [""], {"columns": 0}, "columns 0"),
        ([np.zeros((4, 4), np.uint8)], [""], {}, r"picture is \(4, 4\) uint8"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_words(pictures, labels, options, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        contact_sheet(pictures, labels, **options)


def test_a_poster_is_shrunk_to_its_longer_side_and_never_enlarged() -> None:
    assert opened(poster(plain((1, 2, 3), 200, 400), 100)).size == (100, 50)
    assert opened(poster(plain((1, 2, 3), 30, 20), 100)).size == (20, 30)
    assert opened(poster(plain((1, 2, 3), 1, 4000), 100)).size == (100, 1)
