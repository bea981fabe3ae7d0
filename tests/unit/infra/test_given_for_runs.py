"""Which variables of this process go to runs on other machines."""

from __future__ import annotations

import pytest

from infra.environment import given_for_runs


def test_settings_of_runs_go_along_and_secrets_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "NIGHTREEL_RAY_ADDRESS": "head:6379", "NIGHTREEL_MODELS_SOURCE": "s3://bucket/models",
        "AWS_ENDPOINT_URL": "http://s3.lan:9000",
    }  # fmt: skip
    kept = {
        "NIGHTREEL_NOTIFY_URL": "https://hooks.example/x", "NIGHTREEL_LIVE_PAGE": "http://127.0.0.1:4201",
        "AWS_SECRET_ACCESS_KEY": "s", "AWS_ACCESS_KEY_ID": "k", "RAY_AUTH_TOKEN": "t", "PREFECT_API_AUTH_STRING": "a",
        "NIGHTREEL_ACTORS": "", "NIGHTREEL_PASSWORD": "of somebody's own script",
    }  # fmt: skip
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_S3", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (given | kept).items():
        monkeypatch.setenv(name, value)
    assert given_for_runs() == given
