"""The player of the live page: a finished video, whole or in the parts that a browser asks for."""

from __future__ import annotations

import json

import pytest
from fastapi.testclient import TestClient

from flows.watch import film
from flows.watch.outputs import name_of
from infra.storage.storage import Storage
from tests.helpers.live_client import client_of


def address(output: Storage, video: str) -> str:
    return f"/live/api/film?o={name_of(output.root)}&video={video}"


@pytest.fixture
def whole(output: Storage) -> bytes:
    return output.read("reef/video.mp4")


def test_a_video_comes_whole_or_in_parts(
    page: TestClient, output: Storage, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(film, "PIECE", 1000)
    reef = address(output, "reef")
    answer = page.get(reef)
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, whole, "video/mp4")
    assert answer.headers["accept-ranges"] == "bytes"
    assert int(answer.headers["content-length"]) == len(whole)
    for asked, start, stop in (
        ("bytes=0-", 0, 1000), ("bytes=5-9", 5, 10), ("bytes=-7", len(whole) - 7, len(whole)),
        ("bytes=500-99999999", 500, 1500), (f"bytes={len(whole) - 3}-", len(whole) - 3, len(whole)),
    ):  # fmt: skip
        answer = page.get(reef, headers={"Range": asked, "Accept-Encoding": "gzip"})
        assert (answer.status_code, answer.content) == (206, whole[start:stop]), asked
        assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(whole)}"
    for asked in (f"bytes={len(whole)}-", "bytes=9-5", "bytes=-0"):
        answer = page.get(reef, headers={"Range": asked})
        assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{len(whole)}")
    for asked in ("bytes=-", "bytes=a-b", "bytes=0-1,3-4", "lines=0-1", "bytes=" + "9" * 500 + "-"):
        assert page.get(reef, headers={"Range": asked}).status_code == 200, asked


def test_what_is_not_there_or_not_ours_is_refused(page: TestClient, output: Storage) -> None:
    assert page.get(address(output, "poisoned")).status_code == 404
    assert page.get(address(output, "../reef")).status_code == 422
    with client_of(output) as stranger:
        assert stranger.get(address(output, "reef")).status_code == 401
    before = output.read("reef/provenance.json")
    said = json.loads(before)
    for document in ({}, said | {"video": "../poisoned/provenance.json"}, said | {"video": "video.exe"}, []):
        output.put("reef/provenance.json", json.dumps(document).encode(), existing="replace")
        assert page.get(address(output, "reef")).status_code == 404, document
    output.put("reef/provenance.json", before, existing="replace")
