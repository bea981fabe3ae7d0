"""The link with a key, on its way to the browser."""

from __future__ import annotations

import html
import re
import stat
import webbrowser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from flows.cli.opening import opened


def test_a_command_line_never_has_the_key_but_the_browser_comes_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(webbrowser, "open", asked.append)
    link = "http://127.0.0.1:4201/live/#key=se&cr'et"
    with opened(link):
        (address,) = asked
        file = Path(unquote(urlsplit(address).path))
        assert "se&cr" not in unquote(address)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        (leads_to,) = re.findall(r'content="0;url=([^"]*)"', file.read_text())
        assert html.unescape(leads_to) == link
    assert not file.exists()
