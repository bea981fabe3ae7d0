"""A person's pictures: which are found, which are held out, and that a batch is a function of its address."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from renderers.errors import BadInput, TrainingBroken
from renderers.training import picture_files
from renderers.training.finetune_results import _write_text
from renderers.training.kept_documents import read_object
from renderers.training.picture_files import PictureFiles, find_pictures, read_picture
from renderers.training.picture_folder import PictureFolder
from tests.helpers.blueprints import write_blueprints
from tests.helpers.deep_folders import nested_folders


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_blueprints(tmp_path_factory.mktemp("pictures"), 24, side=48)


def halves(path: Path, *, exif: int | None = None) -> Path:
    """A picture, 40 wide and 20 high, its left half red and its right half blue."""
    image = Image.new("RGB", (40, 20), "blue")
    image.paste("red", (0, 0, 20, 20))
    described = Image.Exif()
    if exif:
        described[0x0112] = exif
    image.save(path, exif=described, **({"quality": 95} if path.suffix == ".jpg" else {}))
    return path


def test_folders_are_searched_to_the_bottom_by_kind_and_hidden_files_left_out(tmp_path: Path, folder: Path) -> None:
    names = ["a.png", "b.JPG", "deep/er/c.webp", "deep/d.gif", "e.jpeg", ".hidden.png", ".x/f.png", "n.txt", "g.svg"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith((".txt", ".svg")):
            (tmp_path / name).write_text("not a picture")
        else:
            halves(tmp_path / name)
    alone = halves(tmp_path.parent / f"{tmp_path.name}.png")

    found = find_pictures([tmp_path, alone, folder / "plan-000.png", folder / "plan-001.png", folder / "plan-002.png"])

    names = {path.name for path in (*found.training, *found.held_out)}
    assert names == {"a.png", "b.JPG", "c.webp", "d.gif", "e.jpeg", alone.name, *(f"plan-00{i}.png" for i in range(3))}
    assert found.broken == ()


def test_the_bottom_may_be_a_thousand_folders_down(tmp_path: Path) -> None:
    write_blueprints(tmp_path, 24, side=48)
    with nested_folders(tmp_path, 1500):
        found = find_pictures(tmp_path)
    assert len(found) + len(found.broken) == 25


def test_held_out_pictures_are_the_same_ones_every_time_and_never_trained_on(folder: Path) -> None:
    first, again = find_pictures(folder), find_pictures([folder])
    assert first == again
    assert first.digest == again.digest
    assert (len(first.training), len(first.held_out)) == (20, 4)
    assert not set(first.training) & set(first.held_out)
    assert len(find_pictures(folder, held_out=0.5).held_out) == 12
    assert len(find_pictures(folder, held_out=0.5, most_held_out=7).held_out) == 7
    # a few pictures are shared out evenly rather than all held out
    assert len(find_pictures(sorted(folder.iterdir())[:8], fewest_held_out=6).held_out) == 4


def test_another_folder_has_another_digest(folder: Path, tmp_path: Path) -> None:
    more = write_blueprints(tmp_path / "more", 25, side=48)
    assert find_pictures(more).digest != find_pictures(folder).digest


def test_broken_files_are_named_and_left_out(tmp_path: Path) -> None:
    write_blueprints(tmp_path, 10, side=48)
    (tmp_path / "cut.png").write_bytes((tmp_path / "plan-000.png").read_bytes()[:300])
    (tmp_path / "text.jpg").write_text("<html>no such picture</html>")

    found = find_pictures(tmp_path)

    assert len(found) == 10
    assert {path.name for path, _ in found.broken} == {"cut.png", "text.jpg"}
    assert all(why for _, why in found.broken)


@pytest.mark.parametrize(("good", "bad", "message"), [
    (0, 0, "there is no picture in"), (3, 0, "has 3 readable pictures: give at least 8"),
    (9, 10, r"10 of 19 pictures .* can't be read, such as '.*broken-0\.png'"), (0, 2, "2 of 2 pictures"),
])  # fmt: skip
def test_too_few_good_pictures_are_refused(tmp_path: Path, good: int, bad: int, message: str) -> None:
    write_blueprints(tmp_path, good, side=48)
    for number in range(bad):
        (tmp_path / f"broken-{number}.png").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(BadInput, match=message):
        find_pictures(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"there is no folder '.*nowhere'"):
        find_pictures(tmp_path / "nowhere")


def test_a_picture_is_turned_as_its_camera_meant_it(tmp_path: Path) -> None:
    upright = read_picture(halves(tmp_path / "turned.jpg", exif=6), shortest=100)  # 6: turn by 90 degrees clockwise
    assert upright.shape == (40, 20, 3)
    assert upright[5, 10, 0] > 200 > 60 > upright[5, 10, 2]
    assert upright[35, 10, 2] > 200 > 60 > upright[35, 10, 0]


def test_transparency_is_white_and_only_large_pictures_are_scaled(tmp_path: Path) -> None:
    Image.new("RGBA", (30, 60), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert read_picture(tmp_path / "clear.png", shortest=100).shape == (60, 30, 3)
    small = read_picture(tmp_path / "clear.png", shortest=10)
    assert small.shape == (20, 10, 3)
    assert (small == 255).all()


def test_a_batch_is_a_function_of_seed_step_and_worker(folder: Path) -> None:
    files = find_pictures(folder)
    one, other = PictureFolder(files, 16), PictureFolder(files, 16)
    for step in range(3):
        one.batch(4, 0, step, 0)  # what was asked before must not matter

    batch = one.batch(6, 7, 5, 1)

    assert batch.shape == (6, 3, 16, 16)
    assert batch.dtype == torch.float32
    assert 0 <= batch.min() < batch.max() <= 1
    assert torch.equal(batch, other.batch(6, 7, 5, 1))
    for address in ((8, 5, 1), (7, 6, 1), (7, 5, 0)):
        assert not torch.equal(batch, other.batch(6, *address))


def test_batches_show_training_pictures_only_and_all_of_them(tmp_path: Path) -> None:
    files = [tmp_path / f"{shade}.png" for shade in range(0, 250, 25)]
    for shade, path in zip(range(0, 250, 25), files, strict=True):
        Image.new("RGB", (32, 32), (shade, shade, shade)).save(path)
    split = PictureFiles(tuple(files[:7]), tuple(files[7:]))
    source = PictureFolder(split, 16)
    shown = (source.batch(7, 0, 0, 0)[:, 0, 8, 8] * 255).round().int().tolist()
    assert sorted(shown) == list(range(0, 175, 25))  # none twice, as there are enough
    assert source.batch(20, 0, 1, 0).shape[0] == 20
    assert (source.held_out()[:, 0, 8, 8] * 255).round().int().tolist() == [175, 200, 225]


def test_pictures_are_mirrored_now_and_then_unless_that_is_off(tmp_path: Path) -> None:
    files = PictureFiles((halves(tmp_path / "a.png"),), (tmp_path / "a.png",))

    def red_left(mirror: bool) -> set[bool]:
        batches = torch.cat([PictureFolder(files, 16, mirror=mirror).batch(8, 0, step, 0) for step in range(4)])
        sides = batches[:, 0].mean(dim=1)  # red along x
        clear = (sides[:, 0] - sides[:, -1]).abs() > 0.5  # crops that show both halves
        return {bool(row[0] > row[-1]) for row in sides[clear]}

    assert red_left(True) == {True, False}
    assert red_left(False) == {True}


def test_held_out_pictures_are_their_middle_squares(tmp_path: Path) -> None:
    image = Image.new("RGB", (90, 30), "red")
    image.paste("lime", (30, 0, 60, 30))
    image.save(tmp_path / "wide.png")
    (held_out,) = PictureFolder(PictureFiles((), (tmp_path / "wide.png",)), 10).held_out()
    assert np.allclose(held_out.mean(dim=(1, 2)), [0, 1, 0], atol=0.05)


def test_little_memory_gives_the_same_batches(folder: Path) -> None:
    files = find_pictures(folder)
    small, large = PictureFolder(files, 16, cache_bytes=4000), PictureFolder(files, 16)
    for step in range(4):
        assert torch.equal(small.batch(5, 0, step, 0), large.batch(5, 0, step, 0))
    assert len(small._cache) == 1
    assert len(large._cache) > 5


def test_a_file_that_broke_since_is_replaced_by_the_next_and_named(tmp_path: Path) -> None:
    files = find_pictures(write_blueprints(tmp_path, 12, side=48))
    gone = files.training[2]
    gone.unlink()
    source = PictureFolder(files, 16)
    assert source.batch(8, 0, 0, 0).shape == (8, 3, 16, 16)
    assert set(source.unreadable) == {gone}
    for path in files.training:
        path.unlink(missing_ok=True)
    with pytest.raises(TrainingBroken, match="pictures can't be read any more, such as"):
        PictureFolder(files, 16).batch(8, 0, 0, 0)


def test_names_that_are_no_utf_8_are_pictures_like_others(tmp_path: Path) -> None:
    for number in range(10):
        Image.new("RGB", (64, 64), (number, 0, 0)).save(tmp_path / f"{number}.png")
    odd = tmp_path / "a\udcff.png"
    Image.new("RGB", (64, 64), (99, 0, 0)).save(odd)
    (tmp_path / "b\udcff.png").write_bytes(b"no picture")
    files = find_pictures(tmp_path)
    assert odd in (*files.training, *files.held_out)
    assert [path.name for path, _ in files.broken] == ["b\udcff.png"]
    assert len(files.digest) == 64
    _write_text(tmp_path / "report.json", json.dumps({"broken": [str(odd)]}, ensure_ascii=False))
    assert read_object(tmp_path / "report.json")["broken"][0].endswith("a?.png")


def test_a_whole_machine_is_no_folder_of_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_files, "MOST_FILES", 20)
    for number in range(15):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}" / "a.txt").write_bytes(b"x")
    with pytest.raises(BadInput, match="holds more than 20 files and folders: name the folder of the pictures"):
        find_pictures(tmp_path)
