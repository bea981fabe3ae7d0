"""Options of commands that are described and bounded by pydantic fields, as a flow's parameters are."""

from __future__ import annotations

from typing import Annotated

import cyclopts
import pytest
from cyclopts import Parameter
from pydantic import Field

from flows.cli.options import with_help

Size = Annotated[int | None, Field(description="how large it gets", ge=2, lt=10)]


@with_help
def make(
    *names: Annotated[str, Field(description="what they are called")],
    size: Size = None,
    shade: Annotated[float, Field(description="how dark", gt=0, le=1), Parameter(name=["--shade", "-s"])] = 0.5,
    plain: Annotated[str, Parameter(help="as it was")] = "",
    own: Annotated[Size, Parameter(help="said by the command")] = 3,
) -> tuple[object, ...]:
    """Make it."""
    return names, size, shade, plain, own


@pytest.fixture
def app() -> cyclopts.App:
    made = cyclopts.App(name="try", help_format="plaintext", result_action="return_value")
    made.command(make)
    return made


def test_help_says_what_the_fields_say(app: cyclopts.App, capsys: pytest.CaptureFixture[str]) -> None:
    app(["make", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for text in ("what they are called", "how large it gets", "how dark", "as it was", "said by the command", "-s"):
        assert text in shown


def call(app: cyclopts.App, *arguments: str) -> object:
    command, bound, _ = app.parse_args(["make", *arguments], exit_on_error=False, print_error=False)
    return command(*bound.args, **bound.kwargs)


def test_what_is_within_the_bounds_passes(app: cyclopts.App) -> None:
    assert call(app) == ((), None, 0.5, "", 3)
    assert call(app, "a", "b", "--size", "2", "-s", "1") == (("a", "b"), 2, 1.0, "", 3)


@pytest.mark.parametrize(
    ("arguments", "bound"),
    [
        (("--size", "1"), ">= 2"),
        (("--size", "10"), "< 10"),
        (("--shade", "0"), "> 0"),
        (("--shade", "1.5"), "<= 1"),
        (("--own", "1"), ">= 2"),
    ],
)
def test_bounds_of_the_fields_are_those_of_the_options(
    app: cyclopts.App, arguments: tuple[str, ...], bound: str
) -> None:
    with pytest.raises(cyclopts.CycloptsError) as raised:
        call(app, *arguments)
    assert arguments[0] in str(raised.value)
    assert bound in str(raised.value)
