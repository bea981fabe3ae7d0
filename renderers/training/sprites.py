"""Sprites: every emoji of every set and a choice of clip art, drawn once, kept in one file in a cache.

The cache holds `packages/` (as downloaded), `parts/` (one style each, of one size, so that an interrupted run goes on)
and `sprites.npz`. It is made from openly licensed packages and is not shipped.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from renderers.training.concepts import load_concepts
from renderers.training.sources import (
    EMOJI_NAMES,
    PACKAGES,
    Drawing,
    EmojiWords,
    Package,
    SourceMissing,
    emoji_labels,
    emoji_words,
    fetch,
    read_drawings,
)

__all__ = ["SIDE", "STYLES", "SpriteProgress", "Sprites", "load_sprites", "make_sprites"]

SIDE = 96  # px, unless another size is asked for: pictures of 128 px want sprites of 144
MARGIN = 1 / 24  # of the side, on each side
DRAWN = 2  # drawn so many times larger, then scaled down: thin lines come out softer
SECONDS_PER_DRAWING = 10.0  # of a clock, not of a core: beside other work a drawing takes several times its time
SECONDS_TO_START = 300
CLIPART_ASPECT = 2.2
CLIPART_COLOUR = 0.05  # least share of the thing that is not grey: half of the clip art is line drawings
LEAST_COVER = 0.05  # of the square; less is a line or an empty drawing
FILE = "sprites.npz"
MOST_BYTES = 3 << 30  # of all sprites, unpacked: some 15,000 of 144 px
# What zipfile, NumPy and json raise for files that are none.
_NO_SPRITES = (
    OSError, EOFError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, NotImplementedError,
    MemoryError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip

STYLES: dict[str, str] = {package.style: package.role for package in PACKAGES}
"""style -> training, held out or judge"""


@dataclass(frozen=True)
class Sprites:
    """Pictures of single things on nothing."""

    pixels: np.ndarray
    """(n, side, side, 4) uint8, RGB with straight alpha, the thing centred"""
    style: tuple[str, ...]
    concept: tuple[str, ...]
    """a name in concepts.yaml, or ''"""
    label: tuple[str, ...]
    """the emoji's label or the clip art's title"""
    packages: tuple[dict[str, str], ...] = ()
    """name, version and licence of each package that the pictures came from"""
    words: Mapping[str, EmojiWords] = field(default_factory=dict)
    """what is known of an emoji's label"""

    def __len__(self) -> int:
        return len(self.style)

    def of_styles(self, *styles: str) -> Sprites:
        """Those of the given styles.

        Raises:
            ValueError: a style is not one of `STYLES`.
        """
        if unknown := set(styles) - set(STYLES):
            raise ValueError(f"unknown sprite style(s) {sorted(unknown)}; known are {', '.join(STYLES)}")
        return self.where([style in styles for style in self.style])

    def with_concepts(self, *concepts: str) -> Sprites:
        """Those that show one of `concepts`, or any concept if none is given."""
        return self.where([bool(name) and (not concepts or name in concepts) for name in self.concept])

    def where(self, keep: list[bool]) -> Sprites:
        """Those for which `keep` `(n,)` says so."""

        def chosen(values: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(value for value, kept in zip(values, keep, strict=True) if kept)

        pixels = self.pixels[np.array(keep, dtype=bool)]
        return replace(
            self,
            pixels=pixels,
            style=chosen(self.style),
            concept=chosen(self.concept),
            label=chosen(self.label),
        )


@dataclass(frozen=True)
class SpriteProgress:
    """One step of `make_sprites`."""

    style: str
    done: int
    drawn: int
    skipped: int
    """empty, of an odd shape, damaged, too slow to draw, or clip art without colours"""


def load_sprites(folder: Path) -> Sprites:
    """The sprites that `make_sprites(folder)` left.

    Raises:
        SourceMissing: there are none, or the file is damaged.
    """
    path = Path(folder) / FILE
    remedy = f"`nightreel models sprites --folder {folder}` makes it"
    if not path.is_file():
        raise SourceMissing(f"no sprites in '{folder}': {path.name} is missing, or no file; {remedy}")
    try:
        # opened here: NumPy leaves a file open that is no zip
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            _check_members(stream)
            about = json.loads(str(file["about"]))
            pixels = file["pixels"]
        _check_sprites(pixels, about)
    except _NO_SPRITES as error:
        why = str(error) or type(error).__name__
        raise SourceMissing(f"'{path}' is not a sprite file ({why:.300}); delete it, then {remedy}") from error
    # concepts are looked up now, not when drawn: a new line in concepts.yaml needs no new drawing
    concepts = {concept.emoji: concept.name for concept in load_concepts()}
    named = tuple(
        "" if style == "openclipart" else concepts.get(label, "")
        for style, label in zip(about["style"], about["label"], strict=True)
    )
    words = {label: EmojiWords(said["subgroup"], tuple(said["tags"])) for label, said in about.get("words", {}).items()}
    return Sprites(pixels, tuple(about["style"]), named, tuple(about["label"]), tuple(about["packages"]), words)


def _check_members(stream: BinaryIO) -> None:
    """Raise ValueError for a zip that unfolds to more than all sprites there are."""
    with zipfile.ZipFile(stream) as members:
        size = sum(it.file_size for it in members.infolist())
    if size > MOST_BYTES:
        raise ValueError(f"it unfolds to {size:,} bytes, and may have {MOST_BYTES:,}")


def _check_sprites(pixels: np.ndarray, about: Any) -> None:
    """Raise ValueError, TypeError or KeyError for what are no pictures with their names."""
    count, *shape = pixels.shape
    if pixels.dtype != np.uint8 or len(shape) != 3 or shape[0] != shape[1] or shape[2] != 4:
        raise ValueError(f"its pixels are {pixels.dtype} of the shape {pixels.shape}")
    for name in ("style", "label"):
        if len(about[name]) != count or not all(isinstance(it, str) for it in about[name]):
            raise ValueError(f"it has {count} pictures and another number of names in '{name}'")
    if not all(isinstance(it, dict) for it in about["packages"]):
        raise TypeError("its packages have no names")
    for said in about.get("words", {}).values():
        if not isinstance(said["subgroup"], str) or not all(isinstance(it, str) for it in said["tags"]):
            raise TypeError("its words are no texts")


def make_sprites(
    folder: Path,
    *,
    packages: Iterable[Package] = PACKAGES,
    names: Package = EMOJI_NAMES,
    side: int = SIDE,
    on_progress: Callable[[SpriteProgress], None] | None = None,
) -> Sprites:
    """Fetch `packages`, draw them at `side` x `side` pixels, and keep the result in `folder`; what is there already is
    not done again.

    Raises:
        SourceMissing: a package can't be fetched, raised after the others are drawn, so that a second run is short.
    """
    if find_spec("resvg_py") is None:
        raise SourceMissing("SVGs are drawn by resvg_py, which is not installed: pip install 'nightreel[training]'")
    folder = Path(folder)
    packages = tuple(packages)
    (folder / "parts").mkdir(parents=True, exist_ok=True)
    named = fetch(names, folder / "packages")
    labels = emoji_labels(named)
    problems = []
    for package in packages:
        try:
            home = fetch(package, folder / "packages")
        except SourceMissing as error:
            problems.append(str(error))
            continue
        part = _part(folder, package, side)
        if not part.exists():
            pixels, found = _draw_all(package, read_drawings(package, home, labels), side, on_progress)
            version = json.loads((home / "version.json").read_text(encoding="utf-8"))
            _save(part, pixels, {"label": found, "package": version | {"style": package.style}})
        elif on_progress:
            on_progress(SpriteProgress(package.style, 0, 0, 0))
    if problems:
        raise SourceMissing("\n".join(problems))
    _join(folder, packages, side, named)
    return load_sprites(folder)


def _part(folder: Path, package: Package, side: int) -> Path:
    """Where one style's sprites of one size are kept; those of the usual size by the style alone, as ever."""
    return folder / "parts" / (f"{package.style}.npz" if side == SIDE else f"{package.style}-{side}.npz")


def _join(folder: Path, packages: tuple[Package, ...], side: int, names: Path) -> None:
    pixels, style, label = [], [], []
    versions = [json.loads((names / "version.json").read_text(encoding="utf-8"))]
    for package in packages:
        with np.load(_part(folder, package, side), allow_pickle=False) as part:
            about = json.loads(str(part["about"]))
            pixels.append(part["pixels"])
        style += [package.style] * len(about["label"])
        label += about["label"]
        versions.append(about["package"])
    words = {label: asdict(said) for label, said in emoji_words(names).items()}
    about = {"style": style, "label": label, "packages": versions, "words": words}
    _save(folder / FILE, np.concatenate(pixels), about)


def _save(path: Path, pixels: np.ndarray, about: dict[str, Any]) -> None:
    parts = path.with_suffix(f".{os.getpid()}.part")
    with parts.open("wb") as file:
        np.savez_compressed(file, pixels=pixels, about=np.array(json.dumps(about)))
    parts.replace(path)


def _draw_all(
    package: Package, drawings: Iterable[Drawing], side: int, on_progress: Callable[[SpriteProgress], None] | None
) -> tuple[np.ndarray, list[str]]:
    pixels, labels, skipped = [], [], 0
    with _Draughtsman() as draughtsman:
        for number, drawing in enumerate(drawings, start=1):
            clipart = package.kind == "clipart"
            picture = draughtsman.draw(drawing.svg, side, CLIPART_ASPECT if clipart else float("inf"))
            if picture is None or (clipart and colourful(picture) < CLIPART_COLOUR):
                skipped += 1
            else:
                pixels.append(picture)
                labels.append(drawing.label)
            if on_progress and number % 20 == 0:
                on_progress(SpriteProgress(package.style, number, len(labels), skipped))
    if on_progress:
        on_progress(SpriteProgress(package.style, len(labels) + skipped, len(labels), skipped))
    if not pixels:
        return np.zeros((0, side, side, 4), np.uint8), labels
    return np.stack(pixels), labels


class _Draughtsman:
    """A process that draws: an SVG that takes for ever, or brings the library down, costs that one picture."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        if not self._pipe.poll(SECONDS_TO_START) or self._pipe.recv() != "ready":
            raise SourceMissing(f"the process that draws SVGs did not start within {SECONDS_TO_START} s")

    def __enter__(self) -> _Draughtsman:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _stop(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def draw(self, svg: str, side: int, aspect: float) -> np.ndarray | None:
        """(side, side, 4) uint8, or None if it can't be drawn."""
        try:
            self._pipe.send((svg, side, aspect))
            if self._pipe.poll(SECONDS_PER_DRAWING):
                picture: np.ndarray | None = self._pipe.recv()
                return picture
        except (EOFError, OSError):
            pass
        self._stop()
        self._start()
        return None


def _serve(pipe: Connection) -> None:
    import resvg_py  # noqa: F401  (its absence shows before the first drawing)

    pipe.send("ready")
    while True:
        try:
            svg, side, aspect = pipe.recv()
        except EOFError:
            return
        try:
            picture = draw(svg, side, aspect)
        except Exception:  # whatever a strange SVG does to the libraries: it is skipped
            picture = None
        pipe.send(picture)


def draw(svg: str, side: int = SIDE, aspect: float = float("inf")) -> np.ndarray | None:
    """`svg` drawn, cropped to what is there, centred: (side, side, 4) uint8 RGBA.

    None if there is nearly nothing to see or it is longer or wider than `aspect`.
    """
    import resvg_py
    from PIL import Image

    data = resvg_py.svg_to_bytes(svg_string=svg, width=DRAWN * side, dpi=96, skip_system_fonts=True)
    picture = Image.open(io.BytesIO(bytes(data)), formats=["PNG"]).convert("RGBA")
    box = picture.getchannel("A").point(lambda value: 255 if value > 8 else 0).getbbox()
    if box is None:
        return None
    width, height = box[2] - box[0], box[3] - box[1]
    if max(width, height) > aspect * min(width, height):
        return None
    scale = (side - 2 * round(side * MARGIN)) / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    thing = picture.crop(box).resize(size, Image.Resampling.LANCZOS)
    square = Image.new("RGBA", (side, side))
    square.paste(thing, ((side - size[0]) // 2, (side - size[1]) // 2))
    pixels = np.array(square)
    if (pixels[..., 3] > 127).mean() < LEAST_COVER:
        return None
    return pixels


def colourful(pixels: np.ndarray) -> float:
    """Share of what is seen in `pixels` (h, w, 4) that is not some grey."""
    seen = pixels[pixels[..., 3] > 127][:, :3].astype(int)
    if not len(seen):
        return 0.0
    return float((seen.max(1) - seen.min(1) > 40).mean())
