"""What is asked again, how often, and after which pause: decisions only, nobody waits."""

from __future__ import annotations

from types import SimpleNamespace

import botocore.exceptions
import pytest

from infra.storage.errors import AnswerCutOff, ObjectMissing, StorageError
from infra.storage.filesystems import in_full, pause_before_retry
from infra.storage.retry_policy import RETRY_POLICY, RetryPolicy

EAGER = RetryPolicy(attempts=4, hung_attempts=2, first_pause=0, longest_pause=0)


def test_pauses_double_up_to_the_longest_and_end() -> None:
    retry_policy = RetryPolicy(attempts=6, first_pause=0.1, longest_pause=0.6)
    assert [retry_policy.pause(failed, 0.0) for failed in range(1, 7)] == pytest.approx(
        [0.05, 0.1, 0.2, 0.3, 0.3, None], nan_ok=True
    )
    assert retry_policy.pause(1, 0.999) == pytest.approx(0.1, rel=0.01)
    assert [retry_policy.pause(failed, 0.0, hung=True) is None for failed in (1, 2)] == [False, True]


def test_a_worker_is_not_held_for_ever() -> None:
    assert sum(RETRY_POLICY.pause(failed, 1.0) or 0.0 for failed in range(1, 7)) <= 5
    assert RETRY_POLICY.hung_attempts * (RETRY_POLICY.answer_seconds + RETRY_POLICY.longest_pause) <= 60
    assert RETRY_POLICY.for_write(16_000_000) <= 90


@pytest.mark.parametrize(
    ("status", "code", "again"),
    [
        (500, "InternalError", True),
        (503, "SlowDown", True),
        (503, "SomethingOfTheirOwn", True),
        (429, "429", True),
        (400, "RequestTimeout", True),
        (200, None, False),
        (400, "EntityTooLarge", False),
        (403, "AccessDenied", False),
        (403, "RequestTimeTooSkewed", False),
        (404, "NoSuchKey", False),
        (412, "PreconditionFailed", False),
        (501, "NotImplemented", False),
        (507, "InsufficientStorage", False),
    ],
)
def test_which_answers_are_asked_for_again(status: int, code: str | None, again: bool) -> None:
    parsed = {"Error": {"Code": code}} if code else {}
    pause = pause_before_retry(EAGER, attempts=1, response=(SimpleNamespace(status_code=status), parsed))
    assert (pause is not None) == again
    assert pause_before_retry(EAGER, attempts=4, response=(SimpleNamespace(status_code=500), {})) is None


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (botocore.exceptions.ConnectionClosedError(endpoint_url="x"), 4),
        (botocore.exceptions.EndpointConnectionError(endpoint_url="x"), 4),
        (botocore.exceptions.ReadTimeoutError(endpoint_url="x"), 2),
        (botocore.exceptions.ConnectTimeoutError(endpoint_url="x"), 2),
        (botocore.exceptions.NoCredentialsError(), 1),
        (TypeError("a bug"), 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_which_errors_are_tried_again(error: Exception, attempts: int) -> None:
    asked = [pause_before_retry(EAGER, attempts=count, caught_exception=error) is not None for count in range(1, 5)]
    assert asked == [count < attempts for count in range(1, 5)]


class Reading:
    """Something to read, of which the first answers go wrong."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    def __call__(self) -> bytes:
        if self.errors:
            raise self.errors.pop(0)
        return b"whole"


def cut_off() -> Exception:
    return botocore.exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2)


def test_what_broke_off_is_read_again() -> None:
    assert in_full("s3://b/a", Reading(cut_off(), cut_off(), cut_off()), EAGER) == b"whole"
    never = Reading(*[cut_off() for _ in range(9)])
    with pytest.raises(AnswerCutOff, match="'s3://b/a' breaks off half-way") as caught:
        in_full("s3://b/a", never, EAGER)
    assert caught.value.remedy
    assert len(never.errors) == 9 - EAGER.attempts


@pytest.mark.parametrize(("error", "ours"), [(FileNotFoundError("a"), ObjectMissing), (ValueError("a"), StorageError)])
def test_nothing_else_is_read_again(error: Exception, ours: type[StorageError]) -> None:
    reading = Reading(error, RuntimeError("asked again"))
    with pytest.raises(ours):
        in_full("s3://b/a", reading, EAGER)
