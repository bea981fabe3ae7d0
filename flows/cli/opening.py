"""Opening a link that has a key in this machine's browser."""

from __future__ import annotations

import html
import tempfile
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.private_files import write_private

__all__ = ["opened"]


@contextmanager
def opened(link: str) -> Iterator[None]:
    """Open it; its key is not on the browser's command line, which every account of the machine may read: that names a
    file of ours, which leads to the link and is there as long as this lasts."""
    with tempfile.TemporaryDirectory(prefix="nightreel-") as folder:
        page = Path(folder) / "open.html"
        address = html.escape(link, quote=True)
        write_private(
            page, f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url={address}">'
        )
        webbrowser.open(page.as_uri())
        yield
