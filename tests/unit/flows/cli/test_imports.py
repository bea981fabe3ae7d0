"""What each command imports, found in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from flows.cli import COMMANDS, app
from tests.helpers.command_line import DEMO

LOOK = """
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from flows.cli import run
with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
    code = run(sys.argv[1:])
print(code, *sorted({name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)))
"""

#: Packages that take half a second and more, and that commands which only look at manifests and outputs do without.
HEAVY = {"torch", "torchvision", "timm", "open_clip", "transformers", "taming", "huggingface_hub", "ray", "prefect",
         "fastapi", "uvicorn", "httpx", "httpx2", "jinja2", "matplotlib", "sqlalchemy"}  # fmt: skip
MANIFEST = str(DEMO)


def imported(*arguments: str) -> tuple[int, set[str]]:
    """The exit code of a command, and the packages that its process has imported."""
    done = subprocess.run([sys.executable, "-c", LOOK, *arguments], capture_output=True, text=True, check=True)
    code, *names = done.stdout.split()
    return int(code), set(names)


@cache
def without_a_command() -> set[str]:
    """What a process has imported that does nothing: an environment may have more than Python's own in it."""
    done = subprocess.run(
        [sys.executable, "-c", "import sys; print(*{name.partition('.')[0] for name in sys.modules})"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(done.stdout.split())


@pytest.mark.parametrize("question", ["--help", "--version"])
def test_what_there_is_at_all_is_told_without_any_of_our_modules(question: str) -> None:
    code, names = imported(question)
    assert code == 0
    assert names - without_a_command() <= {
        "attr", "attrs", "cyclopts", "docstring_parser", "flows", "pygments", "rich", "rich_rst", "typing_extensions",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("plan", MANIFEST, "-o", "OUTPUT"), 0),
        (("status", "OUTPUT"), 2),  # nothing was ever rendered there
        (("manifest", "validate", MANIFEST), 0),
        (("manifest", "show", MANIFEST), 0),
        (("prune", "OUTPUT"), 2),
        (("preview", "--help"), 0),
    ],
    ids=lambda it: " ".join(it[:2]) if isinstance(it, tuple) else "",
)
def test_commands_that_only_look_import_nothing_heavy(arguments: tuple[str, ...], code: int, tmp_path: Path) -> None:
    given = [str(tmp_path / "out") if it == "OUTPUT" else it for it in arguments]
    ended, names = imported(*given)
    assert ended == code
    assert not names & HEAVY


def test_the_help_of_a_command_that_renders_starts_neither_server_nor_cluster() -> None:
    code, names = imported("render", "--help")
    assert code == 0
    assert not names & (HEAVY - {"jinja2"})  # its report is a page


def test_the_list_of_heavy_ones_can_be_broken() -> None:
    code = LOOK.replace("from flows.cli import run", "from flows.cli import run; import uvicorn")
    done = subprocess.run([sys.executable, "-c", code, "--version"], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & HEAVY == {"uvicorn"}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_of_the_overview_is_the_first_of_the_commands_own_help(name: str) -> None:
    # as cyclopts' own overview would have it: up to the first empty line, without line breaks
    first, _, _ = str(app[name].help).strip().partition("\n\n")
    assert " ".join(first.split()) == COMMANDS[name][1]
