"""A server whose database is in use is asked again."""

from __future__ import annotations

import httpx
import pytest

from flows.orchestration import patience
from flows.orchestration.patience import PatientTransport


@pytest.mark.parametrize(("busy", "status", "asked"), [(0, 200, 1), (3, 200, 4), (5, 503, 4)])
def test_a_server_that_is_in_use_is_asked_again_with_the_same_body(
    monkeypatch: pytest.MonkeyPatch, busy: int, status: int, asked: int
) -> None:
    monkeypatch.setattr(patience, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(patience, "TRIES", 4)
    bodies: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(request.read())
        return httpx.Response(503 if len(bodies) <= busy else 200)

    with httpx.Client(base_url="http://server", transport=PatientTransport(httpx.MockTransport(answer))) as client:
        assert client.post("/flow_runs/count", json={"a": 1}).status_code == status
    assert bodies == [b'{"a":1}'] * asked


@pytest.mark.parametrize("status", [404, 409, 500, 502])
def test_other_answers_are_handed_on_at_once(status: int) -> None:
    asked: list[int] = []

    def answer(_: httpx.Request) -> httpx.Response:
        asked.append(1)
        return httpx.Response(status)

    with httpx.Client(base_url="http://server", transport=PatientTransport(httpx.MockTransport(answer))) as client:
        assert client.get("/").status_code == status
    assert len(asked) == 1
