"""The environment, and what is said when it holds nonsense."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from infra.settings import InfraSettings, SettingsInvalid, load_settings
from manifests.errors import ExitCode
from manifests.masking import without_secrets

pytestmark = pytest.mark.usefixtures("fresh_settings")


def test_without_variables_the_defaults_hold_and_every_setting_is_described() -> None:
    assert load_settings() == InfraSettings()
    assert (load_settings().actors, load_settings().device, load_settings().threads) == (None, "auto", 1)
    assert [name for name, field in InfraSettings.model_fields.items() if not field.description] == []


def test_variables_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ACTORS": "2", "GPUS_PER_ACTOR": "0.25", "DEVICE": "cuda:1", "RAY_ADDRESS": "auto"}.items():
        monkeypatch.setenv(f"NIGHTREEL_{name}", value)
    settings = load_settings()
    monkeypatch.setenv("NIGHTREEL_ACTORS", "3")

    assert (settings.actors, settings.gpus_per_actor, settings.device) == (2, 0.25, "cuda:1")
    assert settings.ray_address == "auto"
    assert load_settings() is settings


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ACTORS", "many", "valid integer"),
        ("ACTORS", "0", "greater than or equal to 1"),
        ("CHUNK_SECONDS", "0", "greater than 0"),
        ("GPUS_PER_ACTOR", "1.5", "whole number"),
        ("CPUS_PER_ACTOR", "2.5", "whole number"),
        ("DEVICE", "gpu", "auto|cpu|cuda"),
        ("ATTEMPTS", "101", "less than or equal to 100"),
    ],
)
def test_nonsense_is_refused_by_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(f"NIGHTREEL_{name}", value)
    with pytest.raises(SettingsInvalid) as caught:
        load_settings()
    assert str(caught.value).startswith(f"environment variable NIGHTREEL_{name}='{value}': ")
    assert message in str(caught.value)


@pytest.mark.parametrize("variable", ["NIGHTREEL_RAY_ADDRESS", "RAY_ADDRESS"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("ray://head:10001", "ray:// is the address of Ray Client, .*write the address of the cluster's head instead"),
        ("http://head:8265", "write the head of a Ray cluster as host:port"),
        ("head", "write the head of a Ray cluster as host:port"),
        ("head:port", "write the head of a Ray cluster as host:port"),
        ("head:65536", "write the head of a Ray cluster as host:port"),
        (":6379", "write the head of a Ray cluster as host:port"),
    ],
)
def test_what_is_no_address_of_a_head_is_refused_before_anybody_is_asked(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    for name in ("NIGHTREEL_RAY_ADDRESS", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsInvalid, match=f"environment variable {variable}='{value}': .*{message}") as caught:
        load_settings()
    assert caught.value.kind.exit_code == ExitCode.ENVIRONMENT


@pytest.mark.parametrize(
    ("ours", "rays", "address"),
    [
        (None, None, None),
        (None, "", None),
        ("", None, None),
        ("head:6379", None, "head:6379"),
        (" [2001:db8::1]:6379 ", None, "[2001:db8::1]:6379"),
        (None, "head:6379", "head:6379"),
        ("other:6379", "ray://head:10001", "other:6379"),
        ("auto", "head:6379", "head:6379"),
        ("auto", None, "auto"),
        ("local", "head:6379", None),
        (None, "local", None),
    ],
)
def test_the_cluster_is_ours_or_else_the_one_that_ray_was_told_of(
    monkeypatch: pytest.MonkeyPatch, ours: str | None, rays: str | None, address: str | None
) -> None:
    for name, value in (("NIGHTREEL_RAY_ADDRESS", ours), ("RAY_ADDRESS", rays)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert load_settings().ray_address == address


def test_auto_is_refused_where_ray_was_told_of_a_client_s_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTREEL_RAY_ADDRESS", "auto")
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    with pytest.raises(SettingsInvalid, match=r"environment variable RAY_ADDRESS='ray://head:10001': .*Ray Client"):
        load_settings()


def test_the_webhook_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTREEL_NOTIFY_URL", "https://push.example/my-token")
    url = load_settings().notify_url
    assert without_secrets("no answer from https://push.example/my-token") == "no answer from https://push.example/..."
    assert url is not None
    assert url.get_secret_value() == "https://push.example/my-token"
    assert "token" not in repr(load_settings())

    monkeypatch.setenv("NIGHTREEL_NOTIFY_URL", "")
    load_settings.cache_clear()
    assert load_settings().notify_url is None

    monkeypatch.setenv("NIGHTREEL_NOTIFY_URL", "push.example/my-token")
    load_settings.cache_clear()
    with pytest.raises(SettingsInvalid, match=r"NIGHTREEL_NOTIFY_URL \(not shown here\): .*write http://") as caught:
        load_settings()
    assert "token" not in "".join(traceback.format_exception(caught.value))


def test_what_may_be_read_is_listed_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTREEL_READ_ROOTS", " ~/studio, s3://bucket/studio,relative ")
    monkeypatch.setenv("NIGHTREEL_READ_PRIVATE_HOSTS", "files.lan, 10.0.0.0/8")
    monkeypatch.setenv("NIGHTREEL_READ_MEGABYTES", "1.5")
    monkeypatch.setenv("NIGHTREEL_READ_SECONDS", "5")
    settings = InfraSettings()
    roots = (str(Path.home() / "studio"), "s3://bucket/studio", str(Path.cwd() / "relative"))
    assert settings.reading(("/night",)).roots == ("/night", *roots)
    command = settings.reading()
    assert command.roots is None, "a command reads what its user can"
    assert command.private_hosts == ("files.lan", "10.0.0.0/8")
    assert (command.most_bytes, command.seconds, command.idle_seconds) == (1_500_000, 5.0, 5.0)
