"""What another account of this machine can do: a program of the standard library alone, run as the user `nobody`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

__all__ = ["Seen", "another_account"]

NOBODY = 65_534
_PROGRAM = r"""
import json, os, sys, urllib.error, urllib.request

ask = json.load(sys.stdin)
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
answered, readable, mute = {}, [], set()
for method, url, body, kind in ask["requests"]:
    server = url.split("/")[2]
    if server in mute:
        continue
    data = None if body is None else body.encode()
    request = urllib.request.Request(url, data, {"Content-Type": kind} if kind else {}, method=method)
    try:
        with direct.open(request, timeout=30) as answer:
            answered[f"{method} {url} {kind}"] = answer.read(2000).decode(errors="replace")
    except urllib.error.HTTPError:
        pass  # refused
    except Exception:
        mute.add(server)  # it does not speak HTTP, as Ray's own servers
for top in ask["folders"]:
    for folder, _, names in os.walk(top):
        readable += [os.path.join(folder, name) for name in names if os.access(os.path.join(folder, name), os.R_OK)]
for pid in ask["processes"]:
    for name in ("environ", "mem"):
        try:
            with open(f"/proc/{pid}/{name}", "rb"):
                readable.append(f"/proc/{pid}/{name}")
        except OSError:
            pass
print(json.dumps({"user": os.getuid(), "answered": answered, "readable": readable}))
"""


@dataclass(frozen=True)
class Seen:
    """Answers with a status below 400, by request; and the files that it could read."""

    answered: dict[str, str]
    readable: list[str]


def another_account(
    requests: Iterable[tuple[str, str, str | None, str]], folders: Iterable[Path], processes: Iterable[int]
) -> Seen:
    """Try it. `requests`: method, address, body, its type; `folders`, whose files it tries to read; `processes`, whose
    environments it does. Skips the test where no other account can be had."""
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin:/bin")
    if os.getuid() != 0 or python is None:
        pytest.skip("another account needs root, and a Python outside of root's home")
    asked = {"requests": list(requests), "folders": list(map(str, folders)), "processes": list(processes)}
    done = subprocess.run(
        [python, "-c", _PROGRAM], input=json.dumps(asked), capture_output=True, text=True, timeout=300, check=False,
        user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["user"] == NOBODY
    return Seen(seen["answered"], seen["readable"])
