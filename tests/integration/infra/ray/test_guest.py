"""A driver's own node, beside those of a cluster on this machine."""

from __future__ import annotations

import time
import urllib.request
from typing import Any

import pytest

from infra.ports import free_port
from infra.ray.joining import Guest


def test_it_serves_numbers_at_the_port_that_it_is_told(ray_cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A monitor of pods knows one port, and no head to ask."""
    port = free_port()
    monkeypatch.setenv("NIGHTREEL_METRICS_PORT", str(port))
    guest = Guest(ray_cluster.address)
    try:
        guest.wait()
        until, numbers = time.monotonic() + 120, ""
        while "# TYPE ray_" not in numbers:
            assert time.monotonic() < until, "nobody serves numbers there"
            time.sleep(0.5)
            try:
                with urllib.request.urlopen(f"http://{guest.own}:{port}/metrics", timeout=5) as answer:
                    numbers = answer.read().decode()
            except OSError:  # its agent is not up yet
                continue
    finally:
        guest.leave()
