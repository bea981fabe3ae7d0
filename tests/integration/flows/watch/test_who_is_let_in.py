"""Who may look at the live page, and what may be asked of it from elsewhere."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from flows.watch.outputs import name_of
from infra.storage.storage import Storage
from tests.helpers.live_client import KEY, OURS, client_of


def test_without_the_key_nothing_of_the_output_is_seen(output: Storage) -> None:
    with client_of(output) as client:
        for path in ("outputs", "view", "video", "frame", "thumbnail", "picture"):
            answer = client.get(f"/live/api/{path}", params={"o": name_of(output.root), "video": "reef"})
            assert answer.status_code == 401, path
            assert "reef" not in answer.text
        for path in ("rerun", "ask"):
            assert client.post(f"/live/api/{path}", json={}, headers=OURS).status_code == 401
        shell = client.get("/live/")
        assert shell.status_code == 200
        assert output.root not in shell.text


def test_the_key_is_traded_for_a_cookie_that_no_script_and_no_other_site_has(output: Storage) -> None:
    with client_of(output) as client:
        assert client.post("/live/api/key", json={"key": "wrong"}, headers=OURS).status_code == 401
        answer = client.post("/live/api/key", json={"key": KEY}, headers=OURS)
        cookie = answer.headers["Set-Cookie"]
        assert KEY not in cookie
        assert all(word in cookie for word in ("HttpOnly", "SameSite=strict", "Path=/live"))
        assert client.get("/live/api/outputs").status_code == 200
        assert client.post("/live/api/key", json={"key": KEY}).status_code == 403, "without the page's header"


@pytest.mark.parametrize(
    ("headers", "method"),
    [
        ({"Host": "attacker.example"}, "GET"), ({"Host": "attacker.example", **OURS}, "POST"),
        ({"Origin": "http://attacker.example", "X-Nightreel": "1"}, "POST"), ({"X-Nightreel": "1"}, "POST"),
        ({"Origin": "http://127.0.0.1"}, "POST"), ({"Origin": "http://attacker.example"}, "GET"),
    ],
)  # fmt: skip
def test_other_sites_are_refused_even_with_the_key(
    output: Storage, page: TestClient, headers: dict[str, str], method: str
) -> None:
    path = "view" if method == "GET" else "rerun"
    body = {"output": name_of(output.root), "video": "reef", "frames": "1"}
    answer = page.request(
        method, f"/live/api/{path}", params={"o": name_of(output.root)}, json=body if method == "POST" else None,
        headers=headers,
    )  # fmt: skip
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "wrong",
    [
        {"video": "../out/reef"}, {"video": ".."}, {"video": "reef/../reef"}, {"digest": "../../../../etc"},
        {"digest": "0" * 15}, {"digest": "0" * 17}, {"frame": "-1"}, {"frame": "1/../../x"}, {"o": "../other"},
        {"o": "/etc"},
    ],
)  # fmt: skip
def test_no_picture_lies_outside_what_the_layout_names(
    output: Storage, page: TestClient, wrong: dict[str, str]
) -> None:
    good = {"o": name_of(output.root), "video": "reef", "frame": "0", "digest": "0" * 16}
    for path in ("thumbnail", "picture"):
        answer = page.get(f"/live/api/{path}", params={**good, **wrong})
        assert answer.status_code in (404, 422), answer.text
    for path in (
        "/live/assets/../view.py",
        "/live/assets/..%2Fview.py",
        "/live/assets/%2e%2e/app.py",
        "/live/assets/watch.py",
    ):
        assert page.get(path).status_code == 404


def test_the_page_loads_nothing_from_elsewhere_and_makes_no_markup_of_text(output: Storage) -> None:
    with client_of(output) as client:
        policy = client.get("/live/").headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        for name in ("watch.js", "dom.js", "failures.js", "grid.js", "outputs.js", "remedy.js", "runs.js", "state.js"):
            text = client.get(f"/live/assets/{name}").text
            assert not [
                word
                for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(")
                if word in text
            ]
