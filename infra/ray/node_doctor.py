"""The doctor's look at every node of a cluster, by a small actor on each of them for a moment."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from infra.environment import ray_environment
from infra.ray.guest import LABEL
from infra.ray.node_look import NodeFacts, Question, look_here
from infra.storage.storage import Storage, StorageError
from manifests.errors import first_line
from manifests.masking import without_secrets
from renderers.registry import Registry

ray_environment()  # before the import: Ray reads them while it is imported

import ray  # noqa: E402
import ray.exceptions  # noqa: E402
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: E402

__all__ = ["LOOK_SECONDS", "NodeLook", "look_at_nodes"]

# For all nodes at once: a process starts, and storage and S3's libraries are imported, on machines that render.
LOOK_SECONDS = 120.0
CLOCK_ASKED = 5


@dataclass(frozen=True)
class NodeLook:
    """What was seen of the node `name` (host and address), which may `render` or not. Without `facts` it said nothing,
    for the reason `silent`. `ahead` is by how many seconds its clock is ahead of the asker's, to `exact` seconds."""

    name: str
    renders: bool
    facts: NodeFacts | None = None
    silent: str = ""
    ahead: float = 0.0
    exact: float = 0.0


def look_at_nodes(models: Registry, output: str | None) -> tuple[NodeFacts, list[NodeLook]]:
    """Ask this machine, and every node but those that drivers have for themselves; the process must be connected.

    With an `output`, each node reads from it what was put here, and puts what is read here; they do so only where this
    machine can (`storage` of what is said of it).
    """
    key, token, names = f"doctor-{secrets.token_hex(8)}", secrets.token_hex(16).encode(), models.names
    storage, refused = _put(output, key, token)
    try:
        nodes = [node for node in ray.nodes() if node["Alive"] and LABEL not in node["Labels"]]
        asked = [
            (node, Question(models, names, storage, key, f"{key}-{number}", token)) for number, node in enumerate(nodes)
        ]
        return replace(look_here(Question(models, names)), storage=refused), _ask(asked)
    finally:
        if storage is not None:
            storage.delete(key)


def _put(output: str | None, key: str, token: bytes) -> tuple[Storage | None, str]:
    """The output with what nodes are to read, or None and why there is no such thing."""
    if output is None:
        return None, ""
    try:
        storage = Storage(output)
        local = storage.local_path()
        if local is not None and not local.exists():
            return None, f"'{local}' is not there yet"
        storage.put(key, token)
    except StorageError as error:
        return None, without_secrets(str(error))
    return storage, ""


def _ask(asked: Sequence[tuple[dict[str, Any], Question]]) -> list[NodeLook]:
    kind = _looker()
    actors = [kind.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote()
              for node, _ in asked]  # fmt: skip
    answers = [actor.look.remote(question) for actor, (_, question) in zip(actors, asked, strict=True)]
    ray.wait(answers, num_returns=len(answers), timeout=LOOK_SECONDS)
    try:
        return [
            _seen(node, question, actor, answer)
            for (node, question), actor, answer in zip(asked, actors, answers, strict=True)
        ]
    finally:
        for actor in actors:
            ray.kill(actor)


def _looker() -> Any:
    """An actor whose class travels whole: on a node without nightreel, or with another one, it must say so."""

    class Looker:
        def look(self, question: Any) -> Any:
            from infra.ray.node_look import look_here

            return look_here(question)

        def clock(self) -> float:
            import time

            return time.time()

    return ray.remote(num_cpus=0, max_restarts=0)(Looker)


def _seen(node: dict[str, Any], question: Question, actor: Any, answer: Any) -> NodeLook:
    name = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
    renders = node["Resources"].get("CPU", 0.0) > 0
    try:
        facts = ray.get(answer, timeout=0.1)
        ahead, exact = _ahead(actor)
    except ray.exceptions.GetTimeoutError:
        return NodeLook(name, renders, silent=f"it did not answer within {LOOK_SECONDS:.0f} s")
    except ray.exceptions.RayTaskError as error:
        # Ray's own words before it, where the class could not even be read there
        return NodeLook(name, renders, silent=first_line(error.cause).removeprefix("System error: "))
    except ray.exceptions.RayError as error:
        return NodeLook(name, renders, silent=first_line(error))
    if question.output is not None and not facts.storage:
        facts = _read_back(question, facts)
    return NodeLook(name, renders, facts, "", ahead, exact)


def _ahead(actor: Any) -> tuple[float, float]:
    """By how much a node's clock is ahead, by the quickest of some answers, and how exact that is, in seconds."""
    best = (0.0, float("inf"))
    for _ in range(CLOCK_ASKED):
        began = time.time()
        there = ray.get(actor.clock.remote(), timeout=LOOK_SECONDS)
        ended = time.time()
        best = min(best, (there - (began + ended) / 2, (ended - began) / 2), key=lambda it: it[1])
    return best


def _read_back(question: Question, facts: NodeFacts) -> NodeFacts:
    """Read what the node put, and take it away."""
    assert question.output is not None
    wrong = ""
    try:
        if question.output.read(question.answer) != question.token:
            wrong = "what it puts is read differently here"
    except StorageError as error:
        wrong = f"what it puts can't be read here: {error}"
    with suppress(StorageError):
        question.output.delete(question.answer)
    return replace(facts, storage=wrong)
