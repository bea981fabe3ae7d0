"""A client of the live page's API, without a server or a browser."""

from __future__ import annotations

import time
from typing import Any

from fastapi.testclient import TestClient

from flows.watch.access import Access
from flows.watch.app import make_app
from flows.watch.outputs import OneOutput
from infra.storage.storage import Storage
from renderers.registry import Registry

KEY = "k" * 43
#: What the page itself sends with what it asks for.
OURS = {"Origin": "http://127.0.0.1", "X-Nightreel": "1"}


def client_of(output: Storage, begin: Any = None) -> TestClient:
    app = make_app(OneOutput(output), Access(KEY), Registry(), time.monotonic, begin)
    return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
