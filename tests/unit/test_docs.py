"""The documentation is true: reference pages are what the code says, examples parse, links lead somewhere."""

from __future__ import annotations

import inspect
import re
import shlex
from pathlib import Path

import pytest

from flows.cli import app
from flows.cli.reference import FOLDER, pages
from flows.job.report_data import FRAMES_TABLE, GRID_PAGE, REPORT_PAGE, SUMMARY
from infra.storage import layout
from infra.storage.layout import CONTACT_SHEET, LAYOUT, PROVENANCE, failure_key, picture_key
from tests.helpers.root import ROOT

DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "infra" / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = [
    (page, line)
    for page in DOCS
    if FOLDER.name not in page.parts
    for block in BLOCK.findall(page.read_text(encoding="utf-8"))
    for line in block.splitlines()
    if line.startswith("nightreel ")
]
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


@pytest.mark.parametrize("name", list(pages()))
def test_reference_pages_are_up_to_date(name: str) -> None:
    page = ROOT / FOLDER / name
    assert page.exists(), "run `make docs`"
    assert page.read_text(encoding="utf-8") == pages()[name], "run `make docs`"


def test_every_default_of_a_setting_is_one_that_a_person_can_read() -> None:
    rows = [line.split(" | ") for line in pages()["settings.md"].splitlines() if line.startswith("| `NIGHTREEL_")]
    assert len(rows) > 20
    assert not [row[0] for row in rows if row[1] == "``" or "Undefined" in row[1]]


@pytest.mark.parametrize(("page", "command"), EXAMPLES, ids=lambda value: getattr(value, "name", value))
def test_every_example_parses(page: Path, command: str) -> None:
    app.parse_args(shlex.split(command, comments=True)[1:], exit_on_error=False, print_error=False)


def test_the_readme_is_short_and_has_examples() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 180
    assert sum(page.name == "README.md" for page, _ in EXAMPLES) >= 6
    assert (ROOT / "infra" / "docs" / "apple.png").stat().st_size > 1000


@pytest.mark.parametrize("page", DOCS, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_layout_names_every_key() -> None:
    examples: dict[str, object] = {
        "video_id": "reef", "index": 12, "frame": 12, "start": 0, "stop": 12, "digest": "0123456789abcdef" * 4,
        "sha256": "0123456789abcdef" * 4, "stamp": "20261128T010203", "extension": "mp4", "run": "20261128T010203",
        "child": "night", "pixels": "0123456789abcdef", "recipe": "0123456789abcdef" * 4,
    }  # fmt: skip
    makers = [it for name, it in inspect.getmembers(layout, inspect.isfunction) if name.endswith("_key")]
    assert picture_key in makers
    keys = [maker(**{name: examples[name] for name in inspect.signature(maker).parameters}) for maker in makers]
    keys += [failure_key("reef", None, str(examples["digest"]), "20261128T010203")]
    keys += [f"reef/{CONTACT_SHEET}", f"reef/{PROVENANCE}", FRAMES_TABLE, GRID_PAGE, REPORT_PAGE, SUMMARY]
    described = [
        re.sub(r"<\w+>", r"[^/]+", re.escape(place).replace(r"\<", "<").replace(r"\>", ">")) for place, _ in LAYOUT
    ]
    assert [key for key in keys if not any(re.fullmatch(place, key) for place in described)] == []
