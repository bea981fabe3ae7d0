"""A running `nightreel up` asks who comes: another account, and any page in the operator's own browser, read nothing of
it and start nothing; the operator's commands, client and browser do. (The Ray and the server of `nightreel render` are
tried in tests/integration: infra/ray/test_private_cluster.py, flows/orchestration/test_own_server.py.)"""

from __future__ import annotations

import http.server
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from infra.environment import own_ray_folder
from tests.helpers.browser import FLAGS, browser_pages
from tests.helpers.commands import Commands, command_line
from tests.helpers.listening import LOOPBACK, listening, ports
from tests.helpers.root import ROOT
from tests.helpers.stranger import another_account
from tests.helpers.up import RunningUp, running_up

SHOTS = ROOT / "test-output" / "private"
JSON, TEXT = "application/json", "text/plain"
# What anybody may have of each server: that it is there, and its pages without anything in them.
PUBLIC = {
    "/",
    "/sign-in",
    "/ui-settings",
    "/api/health",
    "/api/ready",
    "/api/healthz",
    "/docs",
    "/openapi.json",
    "/live/",
}

# What a page tries on the server, with all that its browser has of the operator; it returns what succeeded.
ATTACK = """async ([api, ui, start]) => {
  const got = [];
  const body = JSON.stringify({parameters: {manifest: "m.parquet", output: "stolen"}});
  const read = async (what, address, options) => {
    try {
      const answer = await fetch(address, options);
      if (answer.type !== "opaque" && answer.ok) got.push(what + ": " + (await answer.text()).slice(0, 100));
    } catch (error) { /* refused */ }
  };
  await read("health", api + "/health");
  await read("version", api + "/admin/version", {credentials: "include"});
  const of = type => type ? {"Content-Type": type} : {};
  await read("list", api + "/flow_runs/filter", {method: "POST", body: "{}", headers: of("application/json")});
  await read("page", ui);
  for (const mode of ["cors", "no-cors"])
    for (const type of ["application/json", "text/plain", "application/x-www-form-urlencoded", ""])
      await read("start", start, {method: "POST", mode, body, credentials: "include", headers: of(type)});
  await read("start without a type", start, {method: "POST", mode: "no-cors", body: new Blob([body])});
  navigator.sendBeacon(start, body);
  for (const path of ["/events/out", "/events/in", "/logs/out"])
    for (const protocols of [[], ["prefect"]])
      await new Promise(done => {
        const socket = new WebSocket(api.replace("http", "ws") + path, protocols);
        socket.onopen = () => { got.push("socket " + path); socket.close(); };
        socket.onclose = socket.onerror = done;
        setTimeout(done, 5000);
      });
  await new Promise(done => {
    const script = document.createElement("script");
    script.src = ui + "/openapi.json";
    script.onload = () => { got.push("script"); done(); };
    script.onerror = done;
    document.body.append(script);
  });
  const frame = document.createElement("iframe");
  frame.src = ui;
  document.body.append(frame);
  const form = document.createElement("form");
  Object.assign(form, {action: start, method: "POST", enctype: "text/plain", target: "elsewhere"});
  const field = document.createElement("input");
  [field.name, field.value] = ['{"parameters": {"manifest": "m', '"}}'];
  form.append(field);
  const inside = Object.assign(document.createElement("iframe"), {name: "elsewhere"});
  document.body.append(inside, form);
  form.submit();
  await new Promise(done => setTimeout(done, 2000));
  return got;
}"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every account may enter, as people's homes were for long; under the umask that most have."""
    folder = Path(tempfile.mkdtemp(prefix="nr", dir="/tmp"))
    folder.chmod(0o755)
    before = os.umask(0o022)
    yield folder
    os.umask(before)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.minutes
@pytest.mark.timeout(1200)
def test_nobody_but_the_operator_reads_or_starts_anything(open_folder: Path) -> None:
    with running_up(open_folder) as up:
        start = f"{up.api_url}/deployments/{up.deployment('render-manifest')['id']}/create_flow_run"
        another_account_gets_nothing(up, open_folder / "prefect", start)
        pages_of_others_get_nothing(up, start)
        assert up.post("/flow_runs/filter") == [], "somebody started a run"
        the_operator_gets_everything(up, open_folder)


def another_account_gets_nothing(up: RunningUp, home: Path, start: str) -> None:
    processes = [up.pid, *up.processes()]
    assert set(listening(processes)) <= LOOPBACK
    body = json.dumps({"parameters": {"manifest": "m.parquet", "output": "stolen"}})
    requests: list[tuple[str, str, str | None, str]] = [
        *(("POST", start, body, kind) for kind in (JSON, TEXT, "")),
        ("POST", f"{up.api_url}/flow_runs/filter", "{}", JSON),
        ("POST", f"{up.api_url}/block_documents/filter", '{"include_secrets": true}', JSON),
    ]
    paths = [
        *PUBLIC,
        "/metrics",
        "/api/metrics",
        "/api/admin/settings",
        "/api/admin/version",
        "/live/api/outputs",
        "/nodes",
    ]
    requests += [("GET", f"http://127.0.0.1:{port}{path}", None, "") for port in ports(processes) for path in paths]
    ray = own_ray_folder()
    (home.parent / "public").mkdir()
    (home.parent / "public" / "file").write_text("for everybody")
    seen = another_account(requests, [home, home.parent / "public", *([ray.parent] if ray else [])], processes)
    assert seen.answered[f"GET {up.api_url}/health "] == "true", "what is public it did get"
    told = {asked: text for asked, text in seen.answered.items() if urlsplit(asked.split()[1]).path not in PUBLIC}
    assert told == {}
    for text in seen.answered.values():  # the public part of Ray's and Prefect's answers
        assert "ray_" not in text
        assert "python_gc" not in text, "metrics"
    assert seen.readable == [str(home.parent / "public" / "file")]
    secrets = [up.key, urlsplit(up.ready["live"]).fragment.removeprefix("key=")]
    secrets += [(home / "nightreel-up" / "ray-token").read_text()]
    for secret in secrets:  # command lines are everybody's to read, and logs are sent to others
        assert not any(secret in command_line(pid) for pid in processes)
        assert secret not in up.logs()
        kept = [
            file.name for file in (home / "nightreel-up").iterdir() if file.is_file() and secret in file.read_text()
        ]
        assert set(kept) <= {"prefect.key", "up.json", "live.key", "ray-token"}


def pages_of_others_get_nothing(up: RunningUp, start: str) -> None:
    with another_page() as address, browser_pages(up.ui_url, SHOTS, up.sign_in) as pages:
        pages.open("/deployments")
        pages.shows("render-manifest")  # this browser is the operator's, signed in
        pages.shot("1 signed in")
        pages.open(address)
        assert pages.page.evaluate(ATTACK, [up.api_url, up.ui_url, start]) == []
        frames = [frame for frame in pages.page.frames if frame is not pages.page.main_frame]
        assert not any("prefect" in frame.content().lower() for frame in frames), "the UI inside of another page"
        pages.shot("2 another page")
        pages.open("/deployments")
        pages.shows("render-manifest")  # and stays signed in
    a_name_made_to_point_here_gets_nothing(up)


def a_name_made_to_point_here_gets_nothing(up: RunningUp) -> None:
    """DNS rebinding: the server's own port, by a name that an attacker owns."""
    from playwright.sync_api import sync_playwright

    port = urlsplit(up.ui_url).port
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as playwright:
        rules = "--host-resolver-rules=MAP attacker.example 127.0.0.1"
        browser = playwright.chromium.launch(executable_path=program, args=[*FLAGS, rules])
        try:
            page = browser.new_page()
            for path in ("/", "/sign-in", "/ui-settings", "/api/health"):
                answer = page.goto(f"http://attacker.example:{port}{path}")
                assert answer is not None
                assert (answer.status, "answers only to the names" in answer.text()) == (403, True)
        finally:
            browser.close()


def the_operator_gets_everything(up: RunningUp, folder: Path) -> None:
    assert up.get("/admin/version")
    mine = Commands(folder, {"PREFECT_HOME": str(folder / "prefect")})
    for address in ({}, {"PREFECT_API_URL": up.api_url}):
        said = mine("doctor", "--json", **address)
        found: list[dict[str, Any]] = json.loads(said.out)["findings"]
        assert [it["what"] for it in found if it["level"] != "ok"] == [], said.out
        assert {"the server asks for a key", "deployment 'nightly' is there"} <= {it["what"] for it in found}
    stranger = Commands(folder, {"PREFECT_HOME": str(folder / "elsewhere"), "PREFECT_API_URL": up.api_url})
    assert "401" in stranger("doctor", "--json").out


@contextmanager
def another_page() -> Iterator[str]:
    """A page at another port of loopback: the same site to a browser, and another origin."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>kittens</title><body>kittens")

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()
