"""Downloads against a real server on loopback: whole or not at all, however the line and the server behave."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra.environment import exempt_loopback
from infra.models.downloads import DownloadFailed, download
from infra.ports import free_port
from tests.helpers.file_server import FileServer, file_server

DATA = random.Random(0).randbytes(3_000_000)
SHA256 = hashlib.sha256(DATA).hexdigest()


def fetch(server: FileServer, target: Path, **how: object) -> list[tuple[int, int | None]]:
    """Fetch /model.ckpt; returns what was reported as progress."""
    progress: list[tuple[int, int | None]] = []
    urls = how.pop("urls", [f"{server.url}/model.ckpt"])
    download(urls, target, sha256=SHA256, on_progress=lambda *now: progress.append(now), pause=0, **how)  # type: ignore[arg-type]
    assert target.read_bytes() == DATA
    assert sorted(path.name for path in target.parent.iterdir()) == [target.name]
    return progress


def test_a_file_arrives_whole_with_progress(tmp_path: Path) -> None:
    with file_server(files={"/model.ckpt": DATA}) as server:
        progress = fetch(server, tmp_path / "new" / "model.ckpt")
        assert progress[0] == (0, len(DATA))
        assert progress[-1] == (len(DATA), len(DATA))
        assert [done for done, _ in progress] == sorted(done for done, _ in progress)
        fetch(server, tmp_path / "new" / "model.ckpt")
        assert len(server.requests) == 1  # what is there is not fetched again


@pytest.mark.parametrize("validator", ["etag", "date", "weak", "none"])
def test_a_broken_line_is_taken_up_where_it_broke(tmp_path: Path, validator: str) -> None:
    with file_server(files={"/model.ckpt": DATA}, breaks_after=[1_000_000, 700_000], validator=validator) as server:
        fetch(server, tmp_path / "model.ckpt")
        ranges = [headers.get("Range") for _, headers in server.requests]
        assert ranges == [None, "bytes=1000000-", "bytes=1700000-"]
        asked = {headers.get("If-Range") for _, headers in server.requests[1:]}
        assert (asked == {None}) == (validator in ("weak", "none"))


def test_many_breaks_are_survived_as_long_as_something_comes(tmp_path: Path) -> None:
    with file_server(files={"/model.ckpt": DATA}, breaks_after=[200_000] * 14) as server:
        fetch(server, tmp_path / "model.ckpt")
        assert len(server.requests) == 15


def test_a_server_that_ignores_ranges_is_served_from_the_beginning(tmp_path: Path) -> None:
    with file_server(files={"/model.ckpt": DATA}, breaks_after=[1_000_000], ranges=False) as server:
        fetch(server, tmp_path / "model.ckpt")
        assert len(server.requests) == 2


def test_a_server_that_lies_about_ranges_is_asked_for_the_whole(tmp_path: Path) -> None:
    with file_server(files={"/model.ckpt": DATA}, breaks_after=[1_000_000], lies_about_ranges=True) as server:
        fetch(server, tmp_path / "model.ckpt")
        assert [headers.get("Range") for _, headers in server.requests] == [None, "bytes=1000000-", None]


def test_a_file_that_changed_meanwhile_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt.part").write_bytes(b"x" * 1000)
    (tmp_path / "model.ckpt.part.json").write_text('{"url": "%s", "version": "\\"old\\""}')
    with file_server(files={"/model.ckpt": DATA}) as server:
        note = '{"url": "' + server.url + '/model.ckpt", "version": "\\"old\\""}'
        (tmp_path / "model.ckpt.part.json").write_text(note)
        fetch(server, tmp_path / "model.ckpt")
        (_, headers), *others = server.requests
        assert headers["If-Range"] == '"old"'
        assert others == []  # the server gave the whole at once


@pytest.mark.parametrize("part", [b"x" * 1000, b"x" * len(DATA), DATA + b"more"], ids=["short", "equal", "long"])
def test_a_part_of_something_else_costs_one_more_request(tmp_path: Path, part: bytes) -> None:
    (tmp_path / "model.ckpt.part").write_bytes(part)
    with file_server(files={"/model.ckpt": DATA}, validator="none") as server:
        fetch(server, tmp_path / "model.ckpt")
        assert len(server.requests) == 2


def test_a_part_that_is_the_whole_already_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt.part").write_bytes(DATA)
    with file_server(files={"/model.ckpt": DATA}) as server:
        fetch(server, tmp_path / "model.ckpt")


def test_a_damaged_note_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt.part").write_bytes(DATA[:1000])
    (tmp_path / "model.ckpt.part.json").write_text("{")
    with file_server(files={"/model.ckpt": DATA}) as server:
        fetch(server, tmp_path / "model.ckpt")
        assert len(server.requests) == 1


def test_a_download_killed_in_the_middle_goes_on_in_the_next_process(tmp_path: Path) -> None:
    with file_server(files={"/model.ckpt": DATA}, length=True) as server:
        target = tmp_path / "model.ckpt"
        code = (
            "import sys, time\nfrom pathlib import Path\nfrom infra.models.downloads import download\n"
            "def slow(done, total):\n    if done >= 1_000_000: time.sleep(60)\n"
            "download([sys.argv[1]], Path(sys.argv[2]), sha256=sys.argv[3], on_progress=slow)\n"
        )
        process = subprocess.Popen([sys.executable, "-c", code, f"{server.url}/model.ckpt", str(target), SHA256])
        part = tmp_path / "model.ckpt.part"
        deadline = time.monotonic() + 60
        while not (part.exists() and part.stat().st_size >= 500_000) and time.monotonic() < deadline:
            time.sleep(0.05)
        with pytest.raises(DownloadFailed, match="is being fetched by another process"):
            download([f"{server.url}/model.ckpt"], target, sha256=SHA256)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not target.exists()
        fetch(server, target)
        assert int(server.requests[-1][1]["Range"].removeprefix("bytes=").removesuffix("-")) >= 500_000


# --- what never becomes a file ----------------------------------------------------------------------------------------


def refused(urls: list[str], target: Path, message: str, **how: object) -> None:
    before = target.read_bytes() if target.exists() else None
    with pytest.raises(DownloadFailed, match=message):
        download(urls, target, sha256=SHA256, pause=0, **how)  # type: ignore[arg-type]
    assert (target.read_bytes() if target.exists() else None) == before


def test_a_truncated_download_never_becomes_a_file(tmp_path: Path) -> None:
    with file_server(files={"/model.ckpt": DATA}, breaks_after=[1_000_000, *[0] * 20]) as server:
        refused([f"{server.url}/model.ckpt"], tmp_path / "model.ckpt", "model.ckpt' can't be fetched: http")
        assert (tmp_path / "model.ckpt.part").stat().st_size == 1_000_000  # kept, to go on from
        server.breaks_after.clear()
        fetch(server, tmp_path / "model.ckpt")
        assert server.requests[-1][1]["Range"] == "bytes=1000000-"


def test_a_truncated_download_of_unsaid_length_never_becomes_a_file(tmp_path: Path) -> None:
    with file_server(files={"/model.ckpt": DATA[:-1]}, length=False) as server:
        refused([f"{server.url}/model.ckpt"], tmp_path / "model.ckpt", "gives another file, with SHA-256")
        refused([f"{server.url}/model.ckpt"], tmp_path / "model.ckpt", "ended after 2,999,999 of", size=len(DATA))
    with file_server(files={"/model.ckpt": DATA}, length=False, breaks_after=[1_000_000]) as server:
        fetch(server, tmp_path / "model.ckpt", size=len(DATA))


def test_another_file_never_takes_the_place(tmp_path: Path) -> None:
    target = tmp_path / "model.ckpt"
    target.write_bytes(b"what was there")
    with file_server(files={"/model.ckpt": DATA[:-1] + b"!"}) as server:
        refused([f"{server.url}/model.ckpt"], target, f"another file, with SHA-256 .* instead of {SHA256}")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["model.ckpt"]  # no part of it is kept either
        server.files["/model.ckpt"] = DATA
        fetch(server, target)


def test_a_file_that_never_ends_is_cut_off(tmp_path: Path) -> None:
    with file_server(files={"/model.ckpt": DATA * 2}, length=False) as server:
        message = "gives more than the 3,000,000 bytes"
        refused([f"{server.url}/model.ckpt"], tmp_path / "model.ckpt", message, size=3_000_000)


def test_the_next_mirror_is_tried_and_all_are_reported(tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/model.ckpt"
    with file_server(files={"/wrong": b"another", "/model.ckpt": DATA}) as server:
        bad = [nobody, f"{server.url}/missing", f"{server.url}/wrong", "ftp://x/y", "no address"]
        with pytest.raises(DownloadFailed) as failed:
            download(bad, tmp_path / "model.ckpt", sha256=SHA256, pause=0)
        message = str(failed.value)
        for part in (f"{nobody}: ", "/missing: answers 404 Not Found", "/wrong: it gives another file", "ftp://x/y: "):
            assert part in message
        assert list(tmp_path.iterdir()) == []
        fetch(server, tmp_path / "model.ckpt", urls=[*bad, f"{server.url}/model.ckpt"])


def test_a_part_of_one_mirror_is_gone_on_with_at_the_next(tmp_path: Path) -> None:
    with file_server(files={"/model.ckpt": DATA}, breaks_after=[1_000_000, *[0] * 20]) as first:  # noqa: SIM117
        with file_server(files={"/model.ckpt": DATA}) as second:
            fetch(second, tmp_path / "model.ckpt", urls=[f"{first.url}/model.ckpt", f"{second.url}/model.ckpt"])
            ((_, headers),) = second.requests
            assert headers["Range"] == "bytes=1000000-"
            assert "If-Range" not in headers  # the other's tag means nothing to it


def test_a_busy_server_is_asked_again(tmp_path: Path) -> None:
    with file_server(files={"/model.ckpt": DATA}, statuses=[503, 429]) as server:
        fetch(server, tmp_path / "model.ckpt")
        assert len(server.requests) == 3
    with file_server(statuses=[503] * 20) as server:
        refused([f"{server.url}/model.ckpt"], tmp_path / "x.ckpt", "answers 503 Service Unavailable")


def test_redirects_are_followed(tmp_path: Path) -> None:
    with file_server(files={"/cdn": DATA}, redirects={"/model.ckpt": "/cdn", "/loop": "/loop"}) as server:
        fetch(server, tmp_path / "model.ckpt")
        refused([f"{server.url}/loop"], tmp_path / "x.ckpt", "redirect")


def test_a_disk_without_room_is_reported_before_anything_is_written(tmp_path: Path) -> None:
    with file_server(files={"/model.ckpt": DATA}, length=False) as server:
        message = r"no room for .*: 1,000,000,000,000 MB are to come and [\d,]+ MB are free"
        refused([f"{server.url}/model.ckpt"], tmp_path / "model.ckpt", message, size=10**18)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_can_not_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with file_server(files={"/model.ckpt": DATA}) as server:
        refused([f"{server.url}/model.ckpt"], tmp_path / "file" / "model.ckpt", "can't be written")


def test_a_proxy_that_can_not_be_asked_is_named_and_not_gone_past(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTREEL_PROXIES_SET_ASIDE", "")
    monkeypatch.setenv("ALL_PROXY", "socks5://u:Pl4nted@127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.delenv("no_proxy", raising=False)
    exempt_loopback()  # as each command does
    with pytest.raises(DownloadFailed, match="is not one that can be asked: give one with http://") as caught:
        download(["http://mirror.example/model.ckpt"], tmp_path / "model.ckpt", sha256=SHA256, pause=0)
    assert "Pl4nted" not in str(caught.value)
    with file_server(files={"/model.ckpt": DATA}) as server:
        fetch(server, tmp_path / "model.ckpt")
