"""A manifest of seventy good rows and thirty hostile ones, one of every kind that hurt once.

`python -m tests.helpers.hostile_manifest MANIFEST OUTPUT` is a process that plans it, to be measured.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tests.helpers import web_servers
from tests.helpers.limited import memory_of
from tests.helpers.render_jobs import QUICK
from tests.helpers.web_servers import redirects_to, web_server

GOOD, HOSTILE = 70, 30


@contextlib.contextmanager
def hostile_manifest(folder: Path, cases: Path) -> Iterator[str]:
    """The manifest, while the servers that its rows name are up."""
    with contextlib.ExitStack() as servers:

        def at(behave: web_servers.Behaviour) -> str:
            return servers.enter_context(web_server(behave))[0]

        hanging = at(web_servers.hangs)
        pictures = [
            *_files(folder, cases), hanging, hanging, hanging, hanging,
            at(web_servers.drips), at(web_servers.drips_headers),
            at(web_servers.never_ends), at(web_servers.bomb), at(redirects_to("http://169.254.169.254/latest")),
            at(redirects_to("file:///etc/passwd")),
            f"zip://a.png::{folder}/a.zip", f"tar://a.png::{folder}/a.tar", "reference://", "hf://datasets/a/b.png",
            "jupyter://127.0.0.1:1/a.png", "data:image/png;base64,AAAA", f"simplecache::file://{folder}/good.png",
            "http://10.0.0.1/a.png",
        ]  # fmt: skip
        rows = [{"init_image": picture} for picture in pictures]
        rows += [{"prompt": "x" * 20_000_000}, {"zoom": "0:(" + "(" * 50_000}, {"angle": "0:(9**9**9**9)"},
                 {"translate_x": ", ".join(f"{frame}:(t)" for frame in range(200_000))}]  # fmt: skip
        assert len(rows) == HOSTILE, len(rows)
        Image.new("RGB", (8, 8), "teal").save(folder / "good.png")
        good = [{"init_image": str(folder / "good.png")}, *[{} for _ in range(GOOD - 1)]]
        yield _write(folder / "hostile.parquet", good, rows)


def _files(folder: Path, cases: Path) -> list[str]:
    os.mkfifo(folder / "pipe.png")
    (folder / "large.png").touch()
    os.truncate(folder / "large.png", 10**12)
    Image.new("1", (20_000, 9_000)).save(folder / "bomb.png")
    chunk = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + b"\x08\x06\0\0\0"
    head = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    (folder / "lies.png").write_bytes(head)
    line = str(cases / "hostile/png_1x2000.png")
    names = ["pipe.png", "large.png", "bomb.png", "lies.png", "none.png", "."]
    return [*(str(folder / name) for name in names), line, "/dev/zero"]


def _write(path: Path, good: list[dict[str, Any]], hostile: list[dict[str, Any]]) -> str:
    """The rows in a file, mixed, as nobody's schema would let them."""
    rows: list[dict[str, Any]] = []
    for number in range(GOOD + HOSTILE):
        source = hostile if number % 10 in (2, 5, 8) else good
        name = f"{'bad' if source is hostile else 'good'}-{number:02}"
        rows.append({"video_id": name, "prompt": "a red apple", **_quick(), **source.pop(0)})
    columns = {key: [row.get(key) for row in rows] for row in rows for key in row}
    pq.write_table(pa.table(columns), path, row_group_size=10)
    return str(path)


def _quick() -> dict[str, Any]:
    return {**QUICK, "steps_first": 2, "frames": 1}


def main(manifest: str, output: str) -> None:
    """Plan, and print what came of it as JSON."""
    from flows.job.job import RenderJob
    from flows.job.parameters import RenderParameters
    from infra.settings import load_settings

    job = RenderJob(RenderParameters(manifest, output), load_settings())
    job.read()
    bad = {row.video_id: reason for row, reason in job.refused}
    bad |= {str(problem.video_id): str(problem) for problem in job.problems}
    planner = memory_of("VmHWM")  # resource's ru_maxrss begins at what the process had that started this one
    print(json.dumps({"planner": planner, "good": list(job.runs), "bad": bad}))


if __name__ == "__main__":
    main(*sys.argv[1:])
