"""Who may look at the live page, and who may ask for something."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.watch.access import Access
from flows.watch.outputs import NotedOutputs, OneOutput, name_of
from infra.storage.storage import Storage

KEY = "k" * 43
HOST = {"host": "127.0.0.1:4201"}
OURS = {**HOST, "origin": "http://127.0.0.1:4201", "x-nightreel": "1"}


@pytest.fixture
def access() -> Access:
    return Access(KEY)


def test_whoever_has_the_cookie_or_the_key_may_look_and_ask(access: Access) -> None:
    cookies = {access.cookie_name: access.cookie}
    assert access.refuses("GET", HOST, cookies) is None
    assert access.refuses("POST", OURS, cookies) is None
    assert access.refuses("GET", {**HOST, "authorization": f"Bearer {KEY}"}, {}) is None
    assert access.refuses("GET", {"host": "localhost:9000"}, cookies) is None, "through a tunnel"
    assert access.refuses("GET", {"host": "[::1]:9000"}, cookies) is None
    assert access.cookie != KEY


@pytest.mark.parametrize(
    ("method", "headers", "known", "status"),
    [
        ("GET", HOST, False, 401),
        ("GET", {**HOST, "authorization": "Bearer " + "x" * 43}, False, 401),
        ("GET", {**HOST, "authorization": f"Basic {KEY}"}, False, 401),
        ("POST", OURS, False, 401),
        ("GET", {"host": "attacker.example:4201"}, True, 403),
        ("GET", {"host": "127.0.0.1.attacker.example"}, True, 403),
        ("GET", {}, True, 403),
        ("GET", {**HOST, "origin": "http://attacker.example"}, True, 403),
        ("POST", {**OURS, "origin": "http://attacker.example"}, True, 403),
        ("POST", {**OURS, "origin": "null"}, True, 403),
        ("POST", {**OURS, "origin": "http://127.0.0.1:4200"}, True, 403),  # another server of this machine
        ("POST", {**HOST, "x-nightreel": "1"}, True, 403),
        ("POST", {**HOST, "origin": "http://127.0.0.1:4201"}, True, 403),
        ("POST", {**OURS, "sec-fetch-site": "same-site"}, True, 403),
        ("DELETE", HOST, True, 403),
    ],
)
def test_others_are_refused(access: Access, method: str, headers: dict[str, str], known: bool, status: int) -> None:
    cookies = {access.cookie_name: access.cookie} if known else {}
    refusal = access.refuses(method, headers, cookies)
    assert refusal is not None
    assert refusal.status == status


def test_the_page_itself_is_public_but_not_to_other_names_of_this_machine(access: Access) -> None:
    assert access.refuses("GET", HOST, {}, public=True) is None
    refusal = access.refuses("GET", {"host": "attacker.example"}, {}, public=True)
    assert refusal is not None
    assert refusal.status == 403


def test_the_key_is_in_the_part_of_the_link_that_browsers_keep_to_themselves(access: Access) -> None:
    assert access.link("http://127.0.0.1:1/live/") == f"http://127.0.0.1:1/live/#key={KEY}"


def test_only_outputs_that_runs_have_noted_are_known(tmp_path: Path) -> None:
    noted = NotedOutputs(tmp_path / "outputs")
    assert noted.all() == {}
    output = Storage(str(tmp_path / "night"))
    name = noted.note(output)
    (tmp_path / "outputs" / "strange.json").write_text("[")
    assert noted.all() == {name: output.root}
    assert name == name_of(output.root)
    assert OneOutput(output).all() == {name: output.root}
