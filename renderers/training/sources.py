"""Where the pictures come from: npm and Debian packages, fetched by their own clients, read as labelled SVGs.

Emoji sets are matched to `emojibase-data` by code point where a set lists them, otherwise by name.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from manifests.errors import ErrorKind
from renderers.errors import RenderError

__all__ = [
    "EMOJI_NAMES",
    "PACKAGES",
    "Drawing",
    "EmojiWords",
    "Package",
    "SourceMissing",
    "emoji_labels",
    "emoji_words",
    "fetch",
    "read_drawings",
]

OTHER_NAMES = Path(__file__).with_name("emoji_names.yaml")
TIMEOUT = 600  # seconds for one download


class SourceMissing(RenderError):
    """A package could not be fetched or is not what it should be."""

    kind = ErrorKind.ENVIRONMENT


@dataclass(frozen=True)
class Package:
    """One package of pictures."""

    style: str
    name: str
    """as npm or apt know it"""
    kind: str
    """iconify, openmoji, clipart (Debian) or names (emojibase-data)"""
    role: str
    """training, held out or judge (never shown to a model that is evaluated)"""
    licence: str
    """what the package must say of itself; SPDX"""


EMOJI_NAMES = Package("", "emojibase-data", "names", "training", "MIT")
PACKAGES = (
    Package("noto", "@iconify-json/noto", "iconify", "training", "Apache-2.0"),
    Package("fluent", "@iconify-json/fluent-emoji", "iconify", "training", "MIT"),
    Package("twemoji", "@iconify-json/twemoji", "iconify", "training", "CC-BY-4.0"),
    Package("openclipart", "openclipart-svg", "clipart", "training", "public domain"),
    # share-alike licences are for measuring only: nothing that is shipped has seen them
    Package("openmoji", "openmoji", "openmoji", "held out", "CC-BY-SA-4.0"),
    Package("fxemoji", "@iconify-json/fxemoji", "iconify", "judge", "Apache-2.0"),
    Package("emojione", "@iconify-json/emojione", "iconify", "judge", "CC-BY-4.0"),
    Package("emojione-v1", "@iconify-json/emojione-v1", "iconify", "judge", "CC-BY-SA-4.0"),
    Package("streamline", "@iconify-json/streamline-emojis", "iconify", "judge", "CC-BY-4.0"),
)


@dataclass(frozen=True)
class Drawing:
    """One SVG."""

    style: str
    label: str
    """emojibase's label, or the clip art's title"""
    svg: str


def fetch(package: Package, folder: Path) -> Path:
    """The folder of the unpacked package below `folder`; downloaded unless it is there.

    Raises:
        SourceMissing: the client is missing or fails, or the package's licence is not the one expected.
    """
    target = folder / re.sub(r"[^a-z0-9-]+", "_", package.name.strip("@"))
    if not (target / "version.json").exists():
        parts = target.with_suffix(f".part{os.getpid()}")
        parts.mkdir(parents=True, exist_ok=True)
        version = (_fetch_debian if package.kind == "clipart" else _fetch_npm)(package, parts)
        (parts / "version.json").write_text(json.dumps(version))
        parts.replace(target)
    return target


def _fetch_npm(package: Package, folder: Path) -> dict[str, str]:
    _run(["npm", "pack", package.name, "--silent", "--pack-destination", "."], folder, package)
    fetched = _only(folder, "*.tgz", f"npm pack {package.name}")
    with tarfile.open(fetched) as archive:
        archive.extractall(folder, filter="data")
    fetched.unlink()
    about = json.loads((folder / "package" / "package.json").read_text(encoding="utf-8"))
    if about.get("license") != package.licence:
        raise SourceMissing(
            f"{package.name} {about['version']} says its licence is {about.get('license')!r}, expected "
            f"{package.licence!r}: it is not used"
        )
    return {"name": package.name, "version": about["version"], "licence": package.licence}


def _fetch_debian(package: Package, folder: Path) -> dict[str, str]:
    _run(["apt-get", "download", package.name], folder, package)
    fetched = _only(folder, "*.deb", f"apt-get download {package.name}")
    version = _run(["dpkg-deb", "-f", fetched.name, "Version"], folder, package).strip()
    _run(["dpkg-deb", "-x", fetched.name, "package"], folder, package)
    fetched.unlink()
    return {"name": package.name, "version": version, "licence": package.licence}


def _only(folder: Path, pattern: str, command: str) -> Path:
    """The one archive that `command` has left in `folder`."""
    archives = sorted(folder.glob(pattern))
    if len(archives) != 1:
        raise SourceMissing(f"{command} left {len(archives)} archives in {folder}, expected one")
    return archives[0]


def _run(command: list[str], folder: Path, package: Package) -> str:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except FileNotFoundError as error:
        raise SourceMissing(f"'{command[0]}' is needed to fetch {package.name} and is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise SourceMissing(f"'{' '.join(command)}' did not end in {TIMEOUT} s") from error
    if done.returncode:
        raise SourceMissing(f"'{' '.join(command)}' failed: {(done.stderr or done.stdout).strip()[-400:]}")
    return done.stdout


def emoji_labels(folder: Path) -> dict[str, str]:
    """Code points (`1f34e`, joined by '-', without variation selectors) -> label, for every emoji but flags and skins.

    `folder` is the unpacked `emojibase-data`.
    """
    entries = json.loads((folder / "package" / "en" / "data.json").read_text(encoding="utf-8"))
    regional_indicators, components, flags = None, 2, 9
    return {
        _code(entry["hexcode"]): entry["label"]
        for entry in entries
        if entry.get("group") not in (regional_indicators, components, flags)
    }


@dataclass(frozen=True)
class EmojiWords:
    """What emojibase-data says of an emoji besides its label."""

    subgroup: str
    """Unicode's, such as `animal-bird`; '' where the package names none"""
    tags: tuple[str, ...]


def emoji_words(folder: Path) -> dict[str, EmojiWords]:
    """Label -> words, for every emoji of `emoji_labels(folder)`."""
    home = folder / "package"
    groups = home / "meta" / "groups.json"
    names = json.loads(groups.read_text(encoding="utf-8"))["subgroups"] if groups.exists() else {}
    wanted = set(emoji_labels(folder).values())
    return {
        entry["label"]: EmojiWords(names.get(str(entry.get("subgroup")), ""), tuple(entry.get("tags", ())))
        for entry in json.loads((home / "en" / "data.json").read_text(encoding="utf-8"))
        if entry["label"] in wanted
    }


def read_drawings(package: Package, folder: Path, labels: dict[str, str]) -> Iterator[Drawing]:
    """Every drawing of the package unpacked in `folder` that is an emoji of `labels`, or every clip art."""
    if package.kind == "iconify":
        yield from _read_iconify(package.style, folder / "package", labels)
    elif package.kind == "openmoji":
        for path in sorted((folder / "package" / "color" / "svg").glob("*.svg")):
            if label := labels.get(_code(path.stem)):
                yield Drawing(package.style, label, path.read_text(encoding="utf-8"))
    else:
        yield from _read_clipart(package.style, folder / "package")


def _read_iconify(style: str, folder: Path, labels: dict[str, str]) -> Iterator[Drawing]:
    icons: dict[str, Any] = json.loads((folder / "icons.json").read_text(encoding="utf-8"))
    parents = {alias: entry["parent"] for alias, entry in icons.get("aliases", {}).items() if len(entry) == 1}
    codes = json.loads((folder / "chars.json").read_text(encoding="utf-8"))
    pairs: dict[tuple[str, str], None] = {}
    if codes:
        for code, name in codes.items():
            if label := labels.get(_code(code)):
                pairs[parents.get(name, name), label] = None
    else:
        by_name = {_joined(label): label for label in labels.values()}
        known = set(by_name.values())
        by_name |= {other: label for other, label in _other_names().items() if label in known}
        for name in (*icons["icons"], *parents):
            # sets with variants number them: bird-1, bird-2
            label = by_name.get(_joined(name)) or by_name.get(_joined(re.sub(r"-\d$", "", name)))
            if label:
                pairs[parents.get(name, name), label] = None
    for name, label in pairs:
        if (style, name) in NOT_WHAT_IT_SAYS:
            continue
        if icon := icons["icons"].get(name):
            width = icon.get("width", icons.get("width", 16))
            height = icon.get("height", icons.get("height", 16))
            left, top = icon.get("left", 0), icon.get("top", 0)
            yield Drawing(
                style,
                label,
                '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
                f'viewBox="{left} {top} {width} {height}">{icon["body"]}</svg>',
            )


CLIPART_FOLDERS = (
    "animals",
    "buildings",
    "food",
    "plants",
    "transportation",
    "tools",
    "recreation",
    "electronics",
    "containers",
    "office",
    "education",
    "science",
    "decorations",
    "people",
    "special",
    "unsorted",
)
CLIPART_BYTES = 40_000  # larger files are traced photographs, slow to draw and busy at 96 px
CLIPART_PER_FOLDER = 400
CLIPART_ALIKE = re.compile(r"playing_card|/cards?/|deck|pattern|gradient|aiga|font|letter", re.IGNORECASE)


def _read_clipart(style: str, folder: Path) -> Iterator[Drawing]:
    for name in CLIPART_FOLDERS:
        paths = sorted(
            path
            for path in folder.rglob(f"svg/{name}/**/*.svg")
            if path.stat().st_size <= CLIPART_BYTES and not CLIPART_ALIKE.search(path.as_posix())
        )
        # evenly over the folder: neighbours are by one hand and look alike
        for path in paths[:: max(1, -(-len(paths) // CLIPART_PER_FOLDER))]:
            svg = path.read_text(encoding="utf-8", errors="replace")
            found = re.search(r"<dc:title>([^<]+)</dc:title>", svg)
            words = re.sub(r"[-_\d]+", " ", (found[1] if found else path.stem).lower()).split()
            yield Drawing(style, " ".join(word for word in words if len(word) > 1), svg)


def _code(text: str) -> str:
    """Code points without variation selectors: sets disagree on where to put them."""
    return "-".join(part for part in text.lower().split("-") if part != "fe0f")


@cache
def _other_names() -> dict[str, str]:
    names: dict[str, str] = yaml.safe_load(OTHER_NAMES.read_text(encoding="utf-8"))
    return names


def _joined(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


# Another meaning of the same word.
NOT_WHAT_IT_SAYS = {("streamline", "turkey"), ("streamline", "bow"), ("emojione", "shield"), ("emojione", "window")}
