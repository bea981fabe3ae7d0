"""What the files of infra/deploy say: the commands that they run, the variables that they set, what kustomize makes."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import yaml

from tests.helpers.root import ROOT

__all__ = [
    "COMPOSE",
    "DEPLOY",
    "KUBERNETES",
    "commands",
    "compose",
    "documents",
    "files",
    "job_template_of",
    "kustomized",
    "strings",
    "variables",
]

DEPLOY = ROOT / "infra" / "deploy"
COMPOSE = DEPLOY / "compose" / "compose.yaml"
KUBERNETES = DEPLOY / "kubernetes"
PAGE = ROOT / "infra" / "docs" / "cluster.md"
PROGRAMS = ("ray", "prefect", "nightreel")
# of a shell's line: from the program to where another command begins
_COMMAND = re.compile(r"(?:^|[\s;(/]|&& |\bsudo )(?P<command>(?:ray|prefect|nightreel) [a-z][^;|&>`\n]*)")


def files() -> list[Path]:
    """All files of infra/deploy that git has or would have, and the page about them."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard", str(DEPLOY)],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return [path for name in sorted(set(listed.split("\0"))) if name and (path := ROOT / name).is_file()] + [PAGE]


def documents(path: Path) -> list[Any]:
    """What a file of YAML or JSON holds."""
    text = path.read_text(encoding="utf-8")
    return [json.loads(text)] if path.suffix == ".json" else [it for it in yaml.safe_load_all(text) if it is not None]


def strings(value: object) -> Iterator[str]:
    """Every string in a document, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def _lists(value: object) -> Iterator[list[str]]:
    if isinstance(value, list):
        if value and value[0] in PROGRAMS and all(isinstance(word, str) for word in value):
            yield value
        for item in value:
            yield from _lists(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _lists(item)


def commands() -> Iterator[tuple[Path, list[str]]]:
    """Each command of Ray, Prefect and nightreel in these files, as words."""
    for path in files():
        if path.suffix in (".yaml", ".yml", ".json"):
            for document in documents(path):
                for words in _lists(document):
                    yield path, words
                for text in strings(document):
                    yield from ((path, words) for words in _of_shell(text))
            texts = [
                line[1:] for line in path.read_text(encoding="utf-8").splitlines() if line.lstrip().startswith("#")
            ]
            yield from ((path, words) for text in texts if "docker compose run" in text for words in _of_shell(text))
        elif path.suffix == ".md":
            for block in re.findall(r"^```\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S):
                yield from ((path, words) for words in _of_shell(block))
        elif path.name == "Dockerfile":
            for line in re.findall(r"^(?:CMD|HEALTHCHECK .*CMD) (\[.*\])$", path.read_text(encoding="utf-8"), re.M):
                yield from ((path, words) for words in _lists([json.loads(line)]))
        elif path.suffix in (".sbatch", ".service"):
            text = "\n".join(line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
            yield from ((path, words) for words in _of_shell(text))


def _of_shell(text: str) -> Iterator[list[str]]:
    for line in text.replace("\\\n", " ").splitlines():
        if line.lstrip().startswith(("kubectl ", "helm ")):
            continue  # whose arguments are names of ours
        code = re.sub(r'echo "[^"]*"', "", line.split(" #")[0])
        for match in _COMMAND.finditer(code):
            words = shlex.split(match["command"].replace("'", "").replace('"', ""), comments=True)
            yield [word for word in words if word not in ("2", "true", "$@")]


def variables(prefix: str) -> dict[str, set[str]]:
    """The environment variables of that prefix in these files, with the names of the files that have them."""
    found: dict[str, set[str]] = {}
    for path in files():
        for name in re.findall(rf"\b{prefix}_[A-Za-z0-9_]+", path.read_text(encoding="utf-8")):
            found.setdefault(name, set()).add(path.name)
    return found


def compose() -> dict[str, Any]:
    """Compose's file."""
    (document,) = documents(COMPOSE)
    return dict(document)


def kustomized(folder: str) -> list[dict[str, Any]]:
    """What kustomize makes of a folder below infra/deploy/kubernetes; the test is skipped where there is no kubectl."""
    fetched = ROOT / ".venv" / "kubectl" / "kubectl"
    kubectl = str(fetched) if os.access(fetched, os.X_OK) else shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("there is no kubectl to build it with: `infra/setup.sh kubectl`")
    made = subprocess.run(
        [kubectl, "kustomize", str(KUBERNETES / folder)], capture_output=True, text=True, check=False, timeout=60
    )
    assert made.returncode == 0, made.stderr
    return [document for document in yaml.load_all(made.stdout, yaml.CSafeLoader) if document]


def job_template_of(words: list[str], environment: Mapping[str, str]) -> dict[str, Any]:
    """What a `nightreel deploy` of these files, as words, makes of a work pool in this environment, by its own
    `--template`."""
    from flows.cli import app

    assert words[:2] == ["nightreel", "deploy"]
    command, bound, _ = app.parse_args([*words[1:], "--template"], exit_on_error=False, print_error=False)
    said = io.StringIO()
    with patch.dict(os.environ, environment, clear=True), redirect_stdout(said):
        assert command(*bound.args, **bound.kwargs) == 0
    return dict(json.loads(said.getvalue()))
