"""What the doctor says of the nodes of a cluster, from what was seen of them; no Ray here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from flows.doctor.findings import Finding, not_looked_at
from flows.doctor.installation import GIB, SCARCE, TOO_LITTLE
from manifests.schema.texts import plural

if TYPE_CHECKING:  # Ray takes seconds to import
    from infra.ray.node_doctor import NodeLook
    from infra.ray.node_look import NodeFacts

__all__ = ["judge_nodes"]

# S3 refuses requests whose time is off by 15 minutes. Below, reports and the order of runs are only confusing.
CLOCKS_DIFFER, CLOCKS_ARE_WRONG = 5.0, 300.0


def judge_nodes(here: NodeFacts, nodes: Sequence[NodeLook], output: str | None) -> Iterator[Finding]:
    """What to say of `nodes`, each beside this machine (`here`); `output` is what they were to read and write."""
    for node in nodes:
        if node.facts is None:
            yield Finding(
                "cluster", "problem", f"node {node.name} could not be looked at: {node.silent}",
                "have the same nightreel installed there as here, and look into that node's logs",
            )  # fmt: skip
    seen = [(node, node.facts) for node in nodes if node.facts is not None]
    facts = {node.name: facts for node, facts in seen}
    if not facts:
        return
    yield from _versions(here, facts)
    yield from _models(here, {node.name: facts for node, facts in seen if node.renders})
    if output is not None and here.storage:
        what = "whether nodes can use the output"
        yield not_looked_at("cluster", what, here.storage, "have this machine use it first")
    elif output is not None:
        yield from _storage(facts)
    yield from _clocks([node for node, _ in seen])
    yield from _room(facts)


def _versions(here: NodeFacts, nodes: Mapping[str, NodeFacts]) -> Iterator[Finding]:
    mixed = False
    for package, mine in here.versions.items():
        others = {name: facts.versions.get(package, "") for name, facts in nodes.items()}
        differing = [f"{version or 'none'} on node {name}" for name, version in others.items() if version != mine]
        if differing:
            mixed = True
            yield Finding(
                "cluster", "problem", f"versions of {package} are mixed: {mine or 'none'} here, {', '.join(differing)}",
                "install the same versions everywhere (the same image), and start those nodes again",
            )  # fmt: skip
    if not mixed:
        versions = ", ".join(f"{package} {version}" for package, version in here.versions.items())
        yield Finding("cluster", "ok", f"the same versions on {plural(len(nodes), 'node')} and here: {versions}")


def _models(here: NodeFacts, nodes: Mapping[str, NodeFacts]) -> Iterator[Finding]:
    """A model that is whole somewhere is meant to be used: it must be whole wherever frames are rendered."""
    whole = 0
    for model, mine in here.missing.items():
        lacking = {name: missing for name, facts in nodes.items() if (missing := facts.missing.get(model)) != ()}
        if mine != () and len(lacking) == len(nodes):
            continue  # nobody has fetched it
        if not lacking:
            whole += 1
        for name, missing in lacking.items():
            what = "it is not known there" if missing is None else f"'{missing[0]}' is missing"
            more = f" and {len(missing) - 1} more" if missing and len(missing) > 1 else ""
            yield Finding(
                "cluster", "problem", f"model '{model}' is not on node {name}: {what}{more}",
                "have every node see one NIGHTREEL_MODELS_FOLDER, under the same path, or put the model into it there",
            )  # fmt: skip
    if whole:
        yield Finding("cluster", "ok", f"{plural(whole, 'model')} on every node that renders")


def _storage(nodes: Mapping[str, NodeFacts]) -> Iterator[Finding]:
    refused = {name: facts.storage for name, facts in nodes.items() if facts.storage}
    for name, why in refused.items():
        yield Finding(
            "cluster", "problem", f"node {name} can't use the output: {why}",
            "give that node's Ray the same credentials, endpoint and mounts as here, and start it again",
        )  # fmt: skip
    if not refused:
        yield Finding("cluster", "ok", f"{plural(len(nodes), 'node')} read the output and put into it")


def _clocks(nodes: Sequence[NodeLook]) -> Iterator[Finding]:
    wrong = False
    for node in nodes:
        off = max(0.0, abs(node.ahead) - node.exact)
        if off <= CLOCKS_DIFFER:
            continue
        wrong = True
        yield Finding(
            "cluster", "problem" if off > CLOCKS_ARE_WRONG else "warning",
            f"the clock of node {node.name} is {off:.0f} s {'ahead of' if node.ahead > 0 else 'behind'} this machine's",
            "have both follow a time server (chrony, systemd-timesyncd): S3 refuses requests from 15 minutes off",
        )  # fmt: skip
    if not wrong:
        yield Finding("cluster", "ok", "the clocks of all nodes agree with this machine's")


def _room(nodes: Mapping[str, NodeFacts]) -> Iterator[Finding]:
    least = min((free, name, folder) for name, facts in nodes.items() for folder, free in facts.room.items())
    scarce = False
    for name, facts in nodes.items():
        for folder, free in facts.room.items():
            if free < SCARCE:
                scarce = True
                yield Finding(
                    "cluster", "problem" if free < TOO_LITTLE else "warning",
                    f"only {free / GIB:.1f} GiB free below '{folder}' on node {name}", "make room there",
                )  # fmt: skip
    if not scarce:
        yield Finding("cluster", "ok", f"at least {least[0] / GIB:.1f} GiB free on every node, least on {least[1]}")
