"""What follows from a machine that lacks credentials or a model."""

from __future__ import annotations

import pickle

import pytest

from flows.retry_and_quarantine.lacks import Lacks, lack_message
from flows.retry_and_quarantine.policy import Attempt, decide, excluded
from infra.settings import InfraSettings
from infra.workers.tasks import ModelLacking, StorageLacking
from manifests.errors import ErrorKind

NO_KEY = StorageLacking("no credentials for 's3://b/out': set AWS_ACCESS_KEY_ID", "farm-3", "access to 's3://b/out'")
NO_MODEL = ModelLacking("model 'mine' is not fetched", "farm-4", "model 'mine'")
PLACES = {"actor-0": "a", "actor-1": "b", "actor-2": "b", "actor-3": ""}


def test_a_machine_is_news_once_and_forgotten_in_time() -> None:
    now = [0.0]
    lacks = Lacks(lambda: now[0], seconds=60)
    assert lacks.found("b", NO_MODEL, "mine")
    assert not lacks.found("b", NO_MODEL, "mine")
    assert lacks.workers(PLACES, "mine") == {"actor-1", "actor-2"}
    assert lacks.workers(PLACES, "another") == frozenset()
    assert lacks.workers(PLACES, None) == {"actor-1", "actor-2"}  # a chunk that is not known yet
    assert lacks.found("a", NO_KEY, "mine")
    assert lacks.workers(PLACES, "another") == {"actor-0"}
    assert lacks.forget("a")
    assert not lacks.forget("a")
    now[0] = 61
    assert lacks.workers(PLACES, None) == frozenset()
    assert lacks.found("b", NO_MODEL, "mine")


@pytest.mark.parametrize(
    ("quarantined", "avoid", "lacking", "left"),
    [
        ("", "", "a", "bc"),
        ("b", "", "a", "c"),
        ("bc", "", "a", "bc"),  # a quarantined worker may do it, one without credentials can't
        ("", "b", "a", "c"),
        ("", "bc", "a", "bc"),
        ("", "", "abc", "abc"),
    ],
)
def test_those_that_lack_something_are_the_last_resort(quarantined: str, avoid: str, lacking: str, left: str) -> None:
    found = excluded("abc", frozenset(quarantined), frozenset(avoid), frozenset(lacking))
    assert found == frozenset("abc") - frozenset(left)


@pytest.mark.parametrize("kind", [ErrorKind.STORAGE, ErrorKind.ENVIRONMENT])
def test_work_goes_on_elsewhere_at_once_however_often(kind: ErrorKind) -> None:
    failures = [Attempt(kind, name) for name in "abcdef"]
    found = decide(failures, InfraSettings(attempts=2), workers=3, cutouts=1, elsewhere=True)
    assert (found.again, found.wait) == (True, 0.0)
    assert not decide(failures, InfraSettings(attempts=2), workers=3, cutouts=1).again


def test_people_are_told_host_worker_and_remedy() -> None:
    assert lack_message(NO_KEY, "actor-2", elsewhere=True) == (
        "host 'farm-3' (worker actor-2) lacks access to 's3://b/out': no credentials for 's3://b/out': set "
        "AWS_ACCESS_KEY_ID; repair it there, where its Ray node is started. Until then its frames go to workers of "
        "other hosts"
    )
    assert lack_message(NO_MODEL, "actor-0", elsewhere=False).endswith("Until then no worker of another host is left")


@pytest.mark.parametrize("error", [NO_KEY, NO_MODEL])
def test_it_travels_from_an_actor(error: StorageLacking | ModelLacking) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.host, again.lacks, again.kind) == (str(error), error.host, error.lacks, error.kind)
