"""Tables on narrow terminals, on wide ones, and on none."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console
from rich.progress import Progress

from flows.cli import output, up
from flows.cli.models_files import file_bars
from flows.local.supervisor import Ready
from tests.helpers.root import ROOT


@pytest.mark.parametrize("width", [40, 60])
def test_a_narrow_terminal_gets_a_list(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(output, "out", Console(file=stream, width=width, force_terminal=True, color_system=None))
    reason = "init_image 's3://bucket/no.png' of video 'reef' does not exist"
    columns = ("video", "state", "frames", "missing", "reason")
    rows = [("reef-at-dawn-[b]0001", "failed", "3/12", "3-11", reason), ("boat", "done", "1/1", "", "")]
    output.print_table(columns, rows)
    lines = [line.rstrip() for line in stream.getvalue().splitlines()]
    assert all(len(line) <= width for line in lines)
    assert lines[:2] == ["reef-at-dawn-[b]0001", "  state    failed"]
    assert [line.split() for line in lines if "frames" in line] == [["frames", "3/12"], ["frames", "1/1"]]
    assert sum("missing" in line for line in lines) == 1, "what is empty is left out"
    assert "".join(line[11:] for line in lines[4:]).replace(" ", "").startswith(reason.replace(" ", ""))


def test_a_pipe_has_each_row_on_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("video", "state", "reason"), [("reef", "failed", "because " * 40)])
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["video", "reef"]


@pytest.mark.parametrize("given", ["A" * 1_000_000, "a b " * 250_000, "9" * 5000, "é" * 1_000_000])
def test_an_error_repeats_no_more_of_what_was_given_than_a_person_reads(
    capsys: pytest.CaptureFixture[str], given: str
) -> None:
    output.problems([f"'{given}' is no place, and neither is '{given}' (see nightreel plan --help)"])
    said = capsys.readouterr().err
    assert said.startswith(f"nightreel: '{given[:300]}")
    assert "…" in said
    assert said.endswith("(see nightreel plan --help)\n"), "the remedy stays"
    assert len(said) < 5_000


def test_what_is_cut_is_masked_before(capsys: pytest.CaptureFixture[str]) -> None:
    """A password whose address was cut away is known for one no more."""
    addresses = f"https://user:{'x' * 5_000}SECRET@host/a", f"https://host/{'a/' * 2_000}?sig=SECRET"
    output.problems(f"cannot reach '{address}'" for address in addresses)
    assert "SECRET" not in capsys.readouterr().err


def test_paths_and_long_lists_of_problems_are_said_whole(capsys: pytest.CaptureFixture[str]) -> None:
    place = "/" + "/".join(["folder"] * 60)
    lines = "\n".join(f"row {number}: '{place}' is no picture" for number in range(100))
    output.problems([lines])
    assert capsys.readouterr().err == f"nightreel: {lines}\n"


def test_places_that_up_shows_stand_apart_from_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    forms = {"render-manifest": "http://form"}
    ready = Ready(
        ui="http://ui", sign_in="http://ui/sign-in#key=k", key_file="/folder/prefect.key", api="http://ui/api",
        ray="127.0.0.1:1", live="http://live", forms=forms, logs="logs",
    )  # fmt: skip
    up._show(ready, False)
    out = capsys.readouterr().out
    assert "UI               http://ui/sign-in#key=k\n" in out
    assert "key              /folder/prefect.key\n" in out
    assert "render-manifest  http://form" in out
    assert {line.index("http") for line in out.splitlines() if "http" in line} == {17}


def test_names_of_files_command_no_terminal_beside_their_bars(capsys: pytest.CaptureFixture[str]) -> None:
    """They are those of a registry's entry, which may be anybody's."""
    with file_bars(disable=False) as on_file:
        on_file("x: \x1b[31mred[/] [/nothing]")(0, None)
    said = capsys.readouterr().err
    assert "\x1b[31m" not in said
    assert "red[/] [/nothing]" in said


FOREIGN = "[bold red]x[/bold red] [/nothing] :cake: \x1b[31m https://user:SECRET@host/a"


def test_nothing_of_a_strangers_text_is_markup(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("a", "b"), [(FOREIGN, FOREIGN)], title=FOREIGN)
    said = capsys.readouterr().out
    assert said.count("[bold red]x[/bold red] [/nothing] :cake:") == 3
    assert "SECRET" not in said
    assert "\x1b" not in said


def test_what_waits_says_foreign_words_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=200, force_terminal=True, color_system=None, markup=False, emoji=False)
    monkeypatch.setattr(output, "stderr", console)
    with output.waiting(FOREIGN) as say:
        say(FOREIGN + "!")
    with Progress(output.Words("{task.description}"), output.Words("{task.fields[detail]}"), console=console) as bar:
        bar.add_task(FOREIGN, detail=FOREIGN)
    assert stream.getvalue().count("[bold red]x[/bold red] [/nothing] :cake:") >= 3
    assert "SECRET" not in stream.getvalue()
    assert "\x1b[31m" not in stream.getvalue()


def test_words_reach_rich_by_one_way() -> None:
    """A text is markup wherever Rich takes a plain one: bars, spinners and consoles are made in output.py."""
    ways = re.compile(r"\bTextColumn\(|\bConsole\(|stderr\.status\(|rich\.markup|from_markup|rich import print")
    found = [
        f"{path.name}: {line.strip()}"
        for path in sorted((ROOT / "flows").rglob("*.py"))
        if path.name != "output.py"
        for line in path.read_text(encoding="utf-8").splitlines()
        if ways.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("column", [0, 1])
def test_one_long_cell_makes_no_long_table(capsys: pytest.CaptureFixture[str], column: int) -> None:
    rows = [["x", "y"] for _ in range(100)]
    rows[7][column] = "word " * 100_000
    output.print_table(("a", "b"), rows)
    said = capsys.readouterr().out
    assert len(said) < 30_000
    assert "…" in said
