"""The pattern of the form: what it lets through, Prefect's server keeps in its tables before the flow can refuse it."""

from __future__ import annotations

import re
import shutil
import subprocess
import time

import pytest

from flows.orchestration.forms.addresses import ADDRESS
from manifests.masking import has_secret
from tests.unit.manifests.test_masking import ADDRESSES, HARMLESS, SECRET, SPACED, WITHOUT_SCHEME

STARTS = ("http://h/x", "https://host.example:8443/a.png", "s3://bucket/x", "host.example/x", "/data/x", "file:///x")
REFUSED = [
    *ADDRESSES.values(),
    *WITHOUT_SCHEME,
    *(address for start in STARTS for query in SPACED if has_secret(address := start + query)),
    *(f"{head}u:{SECRET}@h.example/x" for head in ("http ://", " http://", "http:/", "http:\\\\", "//", "\t//", "")),
    *(f"{path}?sig={SECRET}" for path in ("x.png", "/data/x.png", "C:\\x.png", "file:///data/x.png")),
    f"https://h.example/a\n?sig={SECRET}",
]
# `?b=c` in a path: a form can't tell it from a query, and a manifest is seldom called so
TAKEN = [it for it in HARMLESS if " " not in it and "?b=c" not in it] + [
    "s3://bucket/nights/{date}", "s3://bucket/{date:%Y/%m/%d}/m.parquet", "s3://b/m*", "/data/16:9@2x/m.parquet",
    "C:\\night\\m@2.parquet", "gs://b/night/token=3/part-0.parquet", "night/sig=3/part-?.parquet", "{date}/m.parquet",
    "https://host.example/nights/m.parquet", "/srv/hooks.old/m.parquet",
]  # fmt: skip


@pytest.mark.parametrize("address", REFUSED)
def test_no_secret_gets_past_the_form(address: str) -> None:
    assert not re.search(ADDRESS, address)


@pytest.mark.parametrize("address", TAKEN)
def test_the_form_takes_what_has_none(address: str) -> None:
    assert re.search(ADDRESS, address)


@pytest.mark.skipif(shutil.which("node") is None, reason="no node, which reads the pattern as a browser does")
def test_a_browser_reads_the_pattern_alike() -> None:
    import json

    program = (
        "const [p, all] = JSON.parse(require('fs').readFileSync(0)); const r = new RegExp(p, 'u');"
        "process.stdout.write(JSON.stringify(all.map(a => r.test(a))))"
    )
    given = json.dumps([ADDRESS, [*REFUSED, *TAKEN]])
    said = subprocess.run(["node", "-e", program], input=given, capture_output=True, text=True, check=True).stdout
    assert json.loads(said) == [False] * len(REFUSED) + [True] * len(TAKEN)


@pytest.mark.parametrize(
    "part",
    ["?", "?a", "a", " ", "&a", "/", "%25", "?&;", "a.", ";token", "/key/", "=", "http://", "::", "sig ", "bot1"],
)
@pytest.mark.parametrize("start", ["", "http://", "http://h/?", "a.b/?", "s3://b/?"])
def test_no_text_takes_long(start: str, part: str) -> None:
    began = time.process_time()
    re.search(ADDRESS, start + part * (50_000 // len(part)))
    assert time.process_time() - began < 5
