"""A person's pictures on disk: which there are, which of them can be read, which are held out, and what one looks like.

Nothing here needs torch, so that a wrong folder is reported at once.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from renderers.errors import BadInput
from renderers.pictures.reading import PICTURE_SUFFIXES, read_rgb

__all__ = ["PictureFiles", "find_pictures", "read_picture"]

# Pictures that are decoded to see whether they can be; of a larger folder, so many spread over it.
TRIED = 2000
# Files and folders that are looked at for pictures: some ten seconds of a disk.
MOST_FILES = 2_000_000
# Fewer pictures teach nothing that could be measured on others.
FEWEST = 8


@dataclass(frozen=True)
class PictureFiles:
    """Readable pictures, split in two: `held_out` are measured on and never trained on. `broken` are (path, reason)."""

    training: tuple[Path, ...]
    held_out: tuple[Path, ...]
    broken: tuple[tuple[Path, str], ...] = ()

    def __len__(self) -> int:
        return len(self.training) + len(self.held_out)

    @property
    def digest(self) -> str:
        """Of names and sizes: whether these are the pictures that a training began with."""
        rows = [f"{path.name}/{path.stat().st_size}" for path in (*self.training, *self.held_out)]
        return hashlib.sha256(_bytes("\n".join([str(len(self.training)), *rows]))).hexdigest()


def find_pictures(
    places: Path | Iterable[Path], *, held_out: float = 0.1, fewest_held_out: int = 4, most_held_out: int = 64
) -> PictureFiles:
    """The pictures in `places`, which are files, or folders searched to the bottom; sorted, hidden ones left out.

    A share of `held_out` is set apart, chosen by name alone, so that the same folder is always split in the same way.

    Raises:
        BadInput: there are too few pictures, or most of them are broken.
    """
    given = [places] if isinstance(places, Path) else list(places)
    listed = ", ".join(f"'{place}'" for place in given[:3])
    found = _files(given)
    if not found:
        kinds = ", ".join(sorted(suffix[1:] for suffix in PICTURE_SUFFIXES))
        raise BadInput(f"there is no picture in {listed}: give a folder with pictures ({kinds})")
    tried = set(found[:: -(-len(found) // TRIED)])
    problems = {path: why for path in found if path in tried and (why := _broken(path))}
    broken = tuple(problems.items())
    good = [path for path in found if path not in problems]
    if len(broken) * 2 > len(tried):
        raise BadInput(
            f"{len(broken)} of {len(tried)} pictures in {listed} can't be read, such as '{broken[0][0]}' "
            f"({broken[0][1]}): is this the right folder?"
        )
    if len(good) < FEWEST:
        raise BadInput(f"{listed} has {len(good)} readable pictures: give at least {FEWEST}, better 50")
    number = min(most_held_out, max(fewest_held_out, round(len(good) * held_out)), len(good) // 2)
    # by a hash of the name, not by place in the order: neighbours in a folder are often the same motif.
    chosen = set(sorted(good, key=lambda path: hashlib.sha256(_bytes(path.name)).digest())[:number])
    return PictureFiles(
        tuple(path for path in good if path not in chosen), tuple(path for path in good if path in chosen), broken
    )


def read_picture(path: Path, *, shortest: int) -> NDArray[np.uint8]:
    """A picture `(h, w, 3)`, turned as its camera meant it, on white where it is transparent; the first one of a GIF.
    Its shorter side is `shortest` pixels if it was longer.

    Raises:
        BadInput: it can't be read.
    """
    picture = read_rgb(path, str(path), shortest=shortest)
    scale = shortest / min(picture.size)
    if scale < 1:
        size = (max(shortest, round(picture.width * scale)), max(shortest, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    return np.asarray(picture)


def _files(places: Iterable[Path]) -> list[Path]:
    found: set[Path] = set()
    for place in places:
        if place.is_dir():
            found.update(path for path in _below(place) if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file())
        elif place.is_file():
            found.add(place)
        else:
            raise BadInput(f"there is no folder '{place}'")
    return sorted(found)


def _bytes(name: str) -> bytes:
    """The bytes of a file's name, which need be no UTF-8."""
    return name.encode("utf-8", "surrogateescape")


def _below(place: Path) -> Iterator[Path]:
    """What lies in a folder and in those below it, but nothing hidden and nothing behind links to folders. Not by
    `rglob`, which ends by RecursionError some hundred folders deep.

    Raises:
        BadInput: there is more than anybody means by a folder of pictures, such as a whole machine.
    """
    folders, seen = [place], 0
    while folders:
        with suppress(PermissionError, FileNotFoundError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                seen += 1
                if seen > MOST_FILES:
                    raise BadInput(
                        f"'{place}' holds more than {MOST_FILES:,} files and folders: name the folder of the pictures"
                    )
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                else:
                    yield Path(entry.path)


def _broken(path: Path) -> str | None:
    try:
        read_picture(path, shortest=8)
    except BadInput as error:
        if isinstance(error.__cause__, UnidentifiedImageError):
            return "its bytes are of no known kind"
        return str(error.__cause__ or error)
    return None
