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
from pathlib import Path
from typing import Any

__all__ = ["EMOJI_NAMES", "PACKAGES", "Drawing", "Package", "SourceMissing", "emoji_labels", "fetch", "read_drawings"]

TIMEOUT = 600  # seconds for one download


class SourceMissing(ValueError):
    """A package could not be fetched or is not what it should be."""


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
        os.replace(parts, target)
    return target


def _fetch_npm(package: Package, folder: Path) -> dict[str, str]:
    _run(["npm", "pack", package.name, "--silent", "--pack-destination", "."], folder, package)
    archives = sorted(folder.glob("*.tgz"))
    if len(archives) != 1:
        raise SourceMissing(f"npm pack {package.name} left {len(archives)} archives in {folder}, expected one")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(folder, filter="data")
    archives[0].unlink()
    about = json.loads((folder / "package" / "package.json").read_text(encoding="utf-8"))
    if about.get("license") != package.licence:
        raise SourceMissing(
            f"{package.name} {about['version']} says its licence is {about.get('license')!r}, expected "
            f"{package.licence!r}: it is not used"
        )
    return {"name": package.name, "version": about["version"], "licence": package.licence}


def _fetch_debian(package: Package, folder: Path) -> dict[str, str]:
    _run(["apt-get", "download", package.name], folder, package)
    archives = sorted(folder.glob("*.deb"))
    if len(archives) != 1:
        raise SourceMissing(f"apt-get download {package.name} left {len(archives)} archives in {folder}, expected one")
    version = _run(["dpkg-deb", "-f", archives[0].name, "Version"], folder, package).strip()
    _run(["dpkg-deb", "-x", archives[0].name, "package"], folder, package)
    archives[0].unlink()
    return {"name": package.name, "version": version, "licence": package.licence}


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
        by_name |= {other: label for other, label in OTHER_NAMES.items() if label in by_name.values()}
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
            title = re.sub(r"[-_]+|\d+|\b[a-z]\b", " ", (found[1] if found else path.stem).lower())
            yield Drawing(style, " ".join(title.split()), svg)


def _code(text: str) -> str:
    """Code points without variation selectors: sets disagree on where to put them."""
    return "-".join(part for part in text.lower().split("-") if part != "fe0f")


def _joined(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


# Another meaning of the same word.
NOT_WHAT_IT_SAYS = {("streamline", "turkey"), ("streamline", "bow"), ("emojione", "shield"), ("emojione", "window")}

# Names of sets without code points that differ from today's Unicode names, letters and digits only.
OTHER_NAMES: dict[str, str] = {
    "aubergine": "eggplant",
    "bath": "bathtub",
    "bedroom": "bed",
    "chicken": "chicken",
    "babychick": "baby chick",
    "frontfacingchick": "front-facing baby chick",
    "bunny": "rabbit face",
    "bunnyside": "rabbit",
    "cat": "cat face",
    "catside": "cat",
    "dog": "dog face",
    "dogside": "dog",
    "dragonhead": "dragon face",
    "dragonside": "dragon",
    "dromedarycamel": "camel",
    "bactriancamel": "two-hump camel",
    "mouse": "mouse face",
    "mouseside": "mouse",
    "pig": "pig face",
    "pigside": "pig",
    "tiger": "tiger face",
    "tigerside": "tiger",
    "bear": "bear",
    "bearface": "bear",
    "hampster": "hamster",
    "hamsterface": "hamster",
    "koalaface": "koala",
    "wolfface": "wolf",
    "frogface": "frog",
    "foxface": "fox",
    "foxsmiling": "fox",
    "lionface": "lion",
    "unicornface": "unicorn",
    "pandaface": "panda",
    "ram": "ram",
    "sheep": "ewe",
    "leopardside": "leopard",
    "doveofpeace": "dove",
    "honeybee": "honeybee",
    "bee": "honeybee",
    "ladybeetle": "lady beetle",
    "spurtingwhale": "spouting whale",
    "cherryblossom": "cherry blossom",
    "whiteflower": "white flower",
    "evergreen": "evergreen tree",
    "evergreentree": "evergreen tree",
    "deciduoustree": "deciduous tree",
    "palmtree": "palm tree",
    "fallingleaf": "fallen leaf",
    "leaffluttering": "leaf fluttering in wind",
    "earofmaize": "ear of corn",
    "chilipepper": "hot pepper",
    "sliceofpizza": "pizza",
    "meatonbone": "meat on bone",
    "poultryleg": "poultry leg",
    "friedshrimp": "fried shrimp",
    "icecream": "ice cream",
    "softicecream": "soft ice cream",
    "strawberryshortcake": "shortcake",
    "beermug": "beer mug",
    "wineglass": "wine glass",
    "cocktailglass": "cocktail glass",
    "hotbeverage": "hot beverage",
    "forkandknife": "fork and knife",
    "forkknife": "fork and knife",
    "hocho": "kitchen knife",
    "snowmountains": "snow-capped mountain",
    "desertisland": "desert island",
    "beachumbrella": "beach with umbrella",
    "housebuilding": "house",
    "housebuildings": "houses",
    "housewithgarden": "house with garden",
    "europeancastle": "castle",
    "europeafricaglobe": "globe showing Europe-Africa",
    "earthglobeeuropeafrica": "globe showing Europe-Africa",
    "sunriseovermountains": "sunrise over mountains",
    "steamlocomotive": "locomotive",
    "racecar": "racing car",
    "recreationalvehicle": "sport utility vehicle",
    "verticaltrafficlight": "vertical traffic light",
    "circustent": "circus tent",
    "carouselhorse": "carousel horse",
    "sunrays": "sun",
    "blacksunwithrays": "sun",
    "sun": "sun",
    "sunwithrays": "sun",
    "whitemediumstar": "star",
    "raincloud": "cloud with rain",
    "stormcloud": "cloud with lightning and rain",
    "snowcloud": "cloud with snow",
    "umbrellawithraindrops": "umbrella with rain drops",
    "bolt": "high voltage",
    "highvoltagesign": "high voltage",
    "snowmanwithoutsnow": "snowman without snow",
    "snowman": "snowman",
    "shootingstar": "shooting star",
    "cloudwithtornado": "tornado",
    "halloweenpumpkin": "jack-o-lantern",
    "jackolantern": "jack-o-lantern",
    "present": "wrapped gift",
    "wrappedpresent": "wrapped gift",
    "partypopper": "party popper",
    "sportsmedal": "sports medal",
    "basketballandhoop": "basketball",
    "tennisball": "tennis",
    "tennisracquetandball": "tennis",
    "skiandskiboot": "skis",
    "directhit": "bullseye",
    "gamedie": "game die",
    "performingarts": "performing arts",
    "darksunglasses": "sunglasses",
    "tie": "necktie",
    "mensrunner": "running shoe",
    "athleticshoe": "running shoe",
    "heels": "high-heeled shoe",
    "womanshat": "woman’s hat",
    "gem": "gem stone",
    "bullhorn": "megaphone",
    "cellphone": "mobile phone",
    "blacktelephone": "telephone",
    "personalcomputer": "laptop",
    "opticaldisc": "optical disk",
    "handheldvideocamera": "video camera",
    "leftmagnifyingglass": "magnifying glass tilted left",
    "leftpointingmagnifyingglass": "magnifying glass tilted left",
    "lightbulb": "light bulb",
    "electriclightbulb": "light bulb",
    "electrictorch": "flashlight",
    "izakayalantern": "red paper lantern",
    "banknotedollar": "dollar banknote",
    "closedmailboxraised": "closed mailbox with raised flag",
    "lowerleftpaintbrush": "paintbrush",
    "lowerleftcrayon": "crayon",
    "lowerleftpencil": "pencil",
    "pencil": "pencil",
    "tearoffcalendar": "tear-off calendar",
    "blackpushpin": "pushpin",
    "straightruler": "straight ruler",
    "blackscissors": "scissors",
    "lock": "locked",
    "daggerknife": "dagger",
    "nutandbolt": "nut and bolt",
    "bow": "bow and arrow",
    "tropicalfish": "tropical fish",
    "blowfish": "blowfish",
    "spiralshell": "spiral shell",
    "redheart": "red heart",
    "heavyblackheart": "red heart",
    "brokenheart": "broken heart",
    "poo": "pile of poo",
    "fatherchristmas": "Santa Claus",
    "fistedhand": "raised fist",
    "raisedfist": "raised fist",
    "hand": "raised hand",
    "thumbsup": "thumbs up",
    "warningsign": "warning",
    "grinwide": "grinning face",
    "blackuniversalrecyclingsymbol": "recycling symbol",
    "crossmark": "cross mark",
    "whiteheavycheckmark": "check mark",
    "heavycheckmark": "check mark",
    "robotface": "robot",
    "hotdog": "hot dog",
    "cheese": "cheese wedge",
    "trash": "wastebasket",
    "washbasket": "wastebasket",
    "tophat": "top hat",
    "waterwave": "water wave",
    "taco": "taco",
    "bananas": "banana",
    "aerialtramway": "aerial tramway",
    "droplet": "droplet",
    "racingcar": "racing car",
    "hammer": "hammer",
    "key": "key",
    "oldkey": "old key",
    "swan": "swan",
    "saxophone": "saxophone",
    "classicalbuilding": "classical building",
    "officebuilding": "office building",
    "mantelpiececlock": "mantelpiece clock",
    "crescentmoon": "crescent moon",
    "cookie": "cookie",
    "oncomingautomobile": "oncoming automobile",
    "musicalkeyboard": "musical keyboard",
    "studiomic": "studio microphone",
    "videogame": "video game",
    "pillbottle": "pill",
    "sportutilityvehicle": "sport utility vehicle",
    "bellhop": "bellhop bell",
    "camping": "camping",
    "frenchfries": "french fries",
    "greenapple": "green apple",
    "redapple": "red apple",
}
