"""The images: what hadolint says, what is taken out of them, how processes get secrets and say that they are well."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from flows.orchestration.job_templates import ENTRY_POINT
from tests.helpers.deploy_files import DEPLOY
from tests.helpers.root import ROOT

IMAGE = DEPLOY / "image"
DOCKERFILE = (IMAGE / "Dockerfile").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent


def test_hadolint_finds_nothing() -> None:
    hadolint = BIN / "hadolint"
    if not hadolint.exists():
        pytest.skip("hadolint has no package for this kind of machine")

    found = subprocess.run([hadolint, IMAGE / "Dockerfile"], capture_output=True, text=True, check=False)

    assert (found.returncode, found.stdout) == (0, "")


def test_all_that_is_copied_is_there_and_let_through() -> None:
    ignored = (IMAGE / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    let_through = {line[1:] for line in ignored if line.startswith("!")}
    copied = [words.split() for words in re.findall(r"^COPY (?!--from)(?:--\S+ )*(.+)$", DOCKERFILE, re.M)]

    assert copied
    for *sources, _ in copied:
        for source in sources:
            assert (ROOT / source).exists(), source
            assert source.split("/")[0] in let_through, source


def test_it_runs_as_an_ordinary_user() -> None:
    finals = re.split(r"^FROM ", DOCKERFILE, flags=re.M)
    by_name = {match[1]: stage for stage in finals if (match := re.match(r"\S+ AS (\S+)", stage))}

    for name in ("server", "node"):
        assert re.search(r"^USER 1000:1000$", by_name[name], re.M)
        assert re.search(r"^HEALTHCHECK ", by_name[name], re.M)
    # the last stage is what a build makes that names none
    assert finals[-1].startswith("base AS node")


def test_what_is_taken_out_is_in_the_packages_of_the_lock() -> None:
    """A pattern that meets nothing any more takes nothing out, and nobody would see the image grow."""
    packages = Path(sysconfig.get_paths()["platlib"])
    lines = re.findall(r"^ *rm -r?f (.+)$", (IMAGE / "trim.sh").read_text(encoding="utf-8"), re.M)
    patterns = [pattern for line in lines for pattern in line.split()]
    if not (packages / "nvidia").exists():
        pytest.skip("this machine's PyTorch is not the build for CUDA")

    assert len(patterns) >= 5
    assert {pattern: any(packages.glob(pattern)) for pattern in patterns} == dict.fromkeys(patterns, True)
    assert any(packages.rglob("*.a"))
    # the door itself stays: PyTorch is linked against it
    assert not (packages / "nvidia/cudnn/lib/libcudnn.so.9").match("libcudnn_*.so.*")


def test_the_entry_point_knows_what_deploy_hands_over_as_files() -> None:
    (listed,) = re.findall(r'^SECRETS="([^"]+)"$', (IMAGE / "entrypoint.sh").read_text(encoding="utf-8"), re.M)

    assert set(ENTRY_POINT) <= set(listed.split())


def entrypoint(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", IMAGE / "entrypoint.sh", *command], capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], **variables},
    )  # fmt: skip


def test_the_entry_point_reads_secrets_from_files(tmp_path: Path) -> None:
    (tmp_path / "auth").write_text("nightreel:pass word$\n")

    done = entrypoint("env", PREFECT_API_AUTH_STRING_FILE=str(tmp_path / "auth"), AWS_SHARED_CREDENTIALS_FILE="/there")

    seen = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert seen["PREFECT_API_AUTH_STRING"] == "nightreel:pass word$"
    assert "PREFECT_API_AUTH_STRING_FILE" not in seen
    assert seen["AWS_SHARED_CREDENTIALS_FILE"] == "/there"


def test_the_entry_point_says_which_secret_is_missing(tmp_path: Path) -> None:
    done = entrypoint("true", PREFECT_SERVER_DOCKET_URL_FILE=str(tmp_path / "none"))

    assert done.returncode == 3
    assert f"PREFECT_SERVER_DOCKET_URL_FILE={tmp_path / 'none'} can't be read" in done.stderr


def test_the_entry_point_becomes_the_command() -> None:
    """A shell between init and the command would keep signals for itself."""
    assert entrypoint("bash", "-c", "exit 7").returncode == 7
    assert entrypoint("cat", "/proc/self/comm").stdout == "cat\n"


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["raylet"], 2)])
def test_the_health_check_wants_to_be_told_what_to_ask(arguments: list[str], code: int) -> None:
    done = subprocess.run(
        [sys.executable, IMAGE / "health.py", *arguments], capture_output=True, text=True, check=False
    )

    assert done.returncode == code
    assert "ray, server, worker" in done.stderr
