"""What the integration tests share: a real S3 server, started when the first test asks for it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from infra.storage.storage import disconnect
from tests.helpers.s3_server import S3Server, running_s3_server

BUCKET = "nightreel-tests"


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """The server itself, one for the whole session: tests that kill or pause it start their own."""
    with running_s3_server() as server:
        server.create_bucket(BUCKET)
        yield server


@pytest.fixture
def s3_environment(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The AWS_* variables that lead to the server, set for this test and the processes that it starts."""
    use_environment(monkeypatch, s3_server.environment)
    yield s3_server.environment
    disconnect()


@pytest.fixture
def s3_root(s3_environment: dict[str, str]) -> str:
    """The URI of an empty output root in the server's bucket, reachable through the environment."""
    return f"s3://{BUCKET}/{uuid.uuid4().hex}/out"


def use_environment(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    """Sets the AWS_* variables, and no other ones, so that they count from now on."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL_S3", *environment):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    disconnect()
