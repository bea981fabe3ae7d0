"""The README names what there is: every command, column and setting, and its examples parse."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from flows.cli import app
from infra.settings import InfraSettings
from manifests.schema.describe import describe_fields

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line.startswith("nightreel ")]


@pytest.mark.parametrize("name", [field.name for field in describe_fields()])
def test_every_column_is_there(name: str) -> None:
    assert f"| `{name}` |" in README


@pytest.mark.parametrize("name", list(InfraSettings.model_fields))
def test_every_setting_is_there_with_its_description(name: str) -> None:
    assert f"| `NIGHTREEL_{name.upper()}` |" in README
    assert str(InfraSettings.model_fields[name].description) in README


@pytest.mark.parametrize("command", COMMANDS)
def test_every_example_parses(command: str) -> None:
    app.parse_args(shlex.split(command)[1:], exit_on_error=False, print_error=False)


def test_there_are_examples() -> None:
    assert len(COMMANDS) >= 6
    assert (Path(__file__).parents[2] / "infra" / "docs" / "apple.png").stat().st_size > 1000
