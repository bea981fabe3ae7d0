"""The other files of infra/deploy: YAML, scripts, Ray's launcher, systemd, certificates."""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.deploy_files import DEPLOY, documents, files
from tests.helpers.root import ROOT

BIN = Path(sys.executable).parent
SCRIPTS = sorted({*DEPLOY.rglob("*.sh"), *DEPLOY.rglob("*.sbatch"), ROOT / "infra" / "setup.sh"})
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
LAUNCHER = sorted((DEPLOY / "ray").glob("*.yaml"))


def test_yamllint_finds_nothing() -> None:
    found = subprocess.run(
        [BIN / "yamllint", "-c", DEPLOY / ".yamllint.yaml", DEPLOY], capture_output=True, text=True, check=False
    )

    assert (found.returncode, found.stdout) == (0, "")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_bash_and_shellcheck_find_nothing(script: Path) -> None:
    parsed = subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False)
    found = subprocess.run(
        [BIN / "shellcheck", "--severity=warning", "--exclude=SC1007", script],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (parsed.returncode, parsed.stderr) == (0, "")
    assert (found.returncode, found.stdout) == (0, "")
    assert os.access(script, os.X_OK)


@pytest.mark.parametrize("file", LAUNCHER, ids=lambda path: path.name)
def test_ray_s_launcher_takes_it(file: Path) -> None:
    """By Ray's own schema, in its package, after it has put its defaults in."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    (given,) = documents(file)
    config: dict[str, Any] = prepare_config(given)
    validate_config(config)

    # nothing of the cluster is open: SSH is the way in, and the token goes to every node by file
    for command in (*config["head_start_ray_commands"], *config["worker_start_ray_commands"]):
        assert "0.0.0.0" not in command
    assert list(config["file_mounts"].values()) == ["~/.ray/auth_token"]
    assert any("RAY_AUTH_MODE=token" in option for option in config["docker"]["run_options"])
    assert "--num-cpus=0" in config["head_start_ray_commands"][-1]


def test_a_wrong_launcher_file_is_found() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    (given,) = documents(LAUNCHER[0])
    given["max_wrokers"] = 3

    with pytest.raises(Exception, match="max_wrokers"):
        validate_config(prepare_config(given))


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_takes_it(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze")
    text = unit.read_text(encoding="utf-8")
    # it wants the programs to be there: those of this installation
    here = text.replace("/opt/nightreel/bin/entrypoint.sh", str(DEPLOY / "image" / "entrypoint.sh"))
    (tmp_path / unit.name).write_text(here.replace("/opt/nightreel/bin/", f"{BIN}/"))

    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / unit.name], capture_output=True, text=True, check=False
    )

    ours = [line for line in (said.stdout + said.stderr).splitlines() if unit.name in line]
    assert (said.returncode, ours) == (0, [])


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_units_hold_no_rights_and_no_secrets(unit: Path) -> None:
    text = unit.read_text(encoding="utf-8")
    loaded = set(re.findall(r"^LoadCredential=(\S+?):/etc/nightreel/secrets/", text, re.M))

    assert "User=nightreel" in text
    assert "NoNewPrivileges=yes" in text
    assert "ProtectSystem=strict" in text
    assert loaded
    # each is used, and none is used that is not loaded
    assert set(re.findall(r"%d/([\w.]+)", text)) == loaded


def certificates(folder: Path, *names: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([DEPLOY / "certificates.sh", folder, *names], capture_output=True, text=True, check=False)


def test_certificates_are_of_the_names_that_were_said(tmp_path: Path) -> None:
    assert certificates(tmp_path, "head.lan", "192.0.2.10", "198.51.100.0/24").returncode == 0
    authority = (tmp_path / "ca.crt").read_bytes()
    assert certificates(tmp_path, "another.lan").returncode == 0  # a node more: by the same authority

    names = [value for _, value in ssl._ssl._test_decode_cert(str(tmp_path / "node.crt"))["subjectAltName"]]  # type: ignore[attr-defined]
    assert names == ["another.lan", "localhost", "127.0.0.1"]
    assert (tmp_path / "ca.crt").read_bytes() == authority
    assert (tmp_path / "ca.key").stat().st_mode & 0o777 == 0o600
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
    context.load_cert_chain(tmp_path / "node.crt", tmp_path / "node.key")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca.crt", "ca.key", "ca.srl", "node.crt", "node.key"]


@pytest.mark.parametrize("names", [(), ("10.0.0.0/16",)])
def test_certificates_of_what_is_no_name_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    done = certificates(tmp_path / "tls", *names)

    assert done.returncode == 2
    assert done.stderr.startswith("certificates.sh: ")


def test_slurm_s_script_says_how_it_is_used() -> None:
    done = subprocess.run(
        [DEPLOY / "slurm" / "nightreel.sbatch"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )

    assert done.returncode == 2
    assert "MANIFEST OUTPUT" in done.stderr


def test_files_are_short() -> None:
    """But for a dashboard as Grafana writes it, and the table of series and the alerts that they raise."""
    long = {path.name for path in files() if len(path.read_text(encoding="utf-8").splitlines()) > 350}

    assert long == {"dashboard.json", "alerts.test.yaml"}
