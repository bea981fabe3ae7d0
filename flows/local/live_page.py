"""The live page of `nightreel up`, `python -m flows.local.live_page PORT FOLDER`: it shows the outputs of this
machine's runs, which note them in a folder, and begins re-runs on the server."""

from __future__ import annotations

import sys
from pathlib import Path

from flows.planning.retakes import After
from flows.watch.access import PREFIX, Access
from flows.watch.asking import BegunRerun
from flows.watch.outputs import NotedOutputs
from flows.watch.serving import LivePage
from infra.child_process import Parent
from infra.private_files import stored_key
from infra.settings import load_settings
from renderers.registry import Registry

__all__ = ["LIVE_KEY", "address_of", "link_of", "outputs_of"]

#: The file in the folder of `nightreel up` that holds the page's key.
LIVE_KEY = "live.key"


def address_of(port: int) -> str:
    """Return where the page is, without its key: for the runs, whose artifacts link to it."""
    return f"http://127.0.0.1:{port}{PREFIX}/"


def link_of(port: int, folder: Path) -> str:
    """Return the link that opens the page, with the key that lies in `folder`."""
    return Access(stored_key(folder / LIVE_KEY)).link(address_of(port))


def outputs_of(folder: Path) -> Path:
    """Return where runs note their outputs."""
    return folder / "outputs"


def _begin(output: str, video: str, frames: str, after: After, seed: int | None) -> BegunRerun:
    from flows.orchestration.asking import begin_rerun  # Prefect takes seconds to import: when it is needed first

    return begin_rerun(output, video, frames, after, seed)


def _serve(port: int, folder: Path, parent: Parent) -> None:
    registry = Registry(load_settings().models_folder)
    page = LivePage.listen(
        NotedOutputs(outputs_of(folder)), registry, stored_key(folder / LIVE_KEY), port=port, begin=_begin
    )
    parent.tell("ready")  # what is asked for now waits in the socket's queue
    page.serve()


if __name__ == "__main__":
    _serve(int(sys.argv[1]), Path(sys.argv[2]), Parent())
