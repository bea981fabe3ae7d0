"""Which tests want the machine to themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
# They start clusters, servers and browsers, and two of them at a time keep each other waiting.
ALONE = tuple(
    HERE / folder for folder in ("chaos", "end_to_end", "integration/flows", "integration/night", "integration/ray")
)


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses among the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if any(folder in item.path.parents for folder in ALONE):
            item.add_marker(pytest.mark.alone)
