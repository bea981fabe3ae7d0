"""The environment, and what is said when it holds nonsense."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from infra.settings import InfraSettings, SettingsInvalid, load_settings
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
