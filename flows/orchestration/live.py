"""The link from a run in Prefect's UI to the live page of its output."""

from flows.orchestration.artifacts import create_live_link
from flows.watch.outputs import NotedOutputs
from infra.settings import load_settings
from infra.storage.storage import Storage

__all__ = ["link_live_page"]


def link_live_page(output: Storage) -> None:
    """Note an output for this machine's live page, and link that from the run; nothing where there is no such page."""
    settings = load_settings()
    if settings.live_page is None or settings.live_outputs is None:
        return
    try:
        name = NotedOutputs(settings.live_outputs).note(output)
    except OSError:
        return  # a page that can't be linked must not end a job
    create_live_link(
        f"{settings.live_page}?o={name}",
        "What is drawn now, by whom, until when, and what failed. Open the page once by the link that "
        "`nightreel up` printed: that one holds its key.",
    )
