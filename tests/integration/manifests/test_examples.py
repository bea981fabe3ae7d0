"""The notebooks of manifests/examples run, from the first cell to the last, as they are given to people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.helpers.root import ROOT

EXAMPLES = ROOT / "manifests" / "examples"


def executed(name: str, folder: Path) -> list[Any]:
    """The code cells of a notebook, run in `folder`."""
    notebook = nbformat.read(EXAMPLES / name, as_version=4)
    nbformat.validate(notebook)
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text_of(cell: Any) -> str:
    return "".join(out.get("text", "") or out.get("data", {}).get("text/plain", "") for out in cell.outputs)


@pytest.mark.minutes
def test_the_first_steps_show_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")  # nobody there: whatever asks the network fails
    _, picture, scenes, sheet, losses, job, again, status = executed("first_steps.ipynb", tmp_path)

    assert "image/png" in picture.outputs[-1].data
    assert "green apple" in text_of(scenes)
    assert "image/png" in sheet.outputs[-1].data
    assert text_of(losses).startswith("58 steps, loss ")
    assert "5 frames rendered" in text_of(job)
    assert "2 of 2 videos done" in text_of(job)
    assert text_of(again) == "0"
    assert [line.split()[:6] for line in text_of(status).splitlines()] == [
        ["boat", "done", "1", "of", "1", "frames"], ["tree", "done", "4", "of", "4", "frames"],
    ]  # fmt: skip


def test_a_notebook_is_kept_without_what_it_printed() -> None:
    notebooks = sorted(EXAMPLES.glob("*.ipynb"))
    assert notebooks
    for path in notebooks:
        cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        assert [cell for cell in cells if cell.outputs or cell.execution_count] == [], path.name
