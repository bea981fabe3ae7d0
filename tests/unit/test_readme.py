"""The README names what there is: every command, column and setting, and its examples parse."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import cyclopts
import pytest

from flows.cli import app
from infra.settings import InfraSettings
from manifests.schema.describe import FieldInfo, describe_fields
from tests.helpers.root import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line.startswith("nightreel ")]


@pytest.mark.parametrize("field", describe_fields(), ids=lambda field: field.name)
def test_every_column_is_there_with_its_default(field: FieldInfo) -> None:
    (row,) = [line for line in README.splitlines() if line.startswith(f"| `{field.name}` |")]
    shown = "required" if field.required else "" if field.default is None else f"`{field.default}`"
    assert row.split("|")[2].strip() == ("" if isinstance(field.default, dict) else shown)
    if "|" not in field.description:
        assert field.description in row


def command_names(group: cyclopts.App, words: str) -> Iterator[str]:
    for name in group:
        if not name.startswith("-"):
            below = list(command_names(group[name], f"{words} {name}"))
            yield from below or [f"{words} {name}"]


@pytest.mark.parametrize("name", list(command_names(app, "nightreel")))
def test_every_command_is_there(name: str) -> None:
    assert name in README


@pytest.mark.parametrize("name", list(InfraSettings.model_fields))
def test_every_setting_is_there_with_its_description(name: str) -> None:
    assert f"| `NIGHTREEL_{name.upper()}` |" in README
    assert str(InfraSettings.model_fields[name].description) in README


@pytest.mark.parametrize("command", COMMANDS)
def test_every_example_parses(command: str) -> None:
    app.parse_args(shlex.split(command, comments=True)[1:], exit_on_error=False, print_error=False)


def test_there_are_examples() -> None:
    assert len(COMMANDS) >= 6
    assert (ROOT / "infra" / "docs" / "apple.png").stat().st_size > 1000
