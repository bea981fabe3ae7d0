"""What the doctor says of a cluster's nodes, of each thing that can be wrong with one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.doctor.findings import Finding
from flows.doctor.nodes import judge_nodes
from infra.models.files import missing_files
from infra.ray.node_look import NodeFacts, Question, look_here, versions_here
from infra.storage.storage import Storage
from renderers.registry import Registry

VERSIONS = {"python": "3.11.7", "nightreel": "0.2.0", "ray": "2.60.0", "torch": "2.15.0"}
GIB = 2**30
HERE = NodeFacts("laptop", VERSIONS, {"embedded": (), "big": ("/m/big.ckpt",)}, "", {"/tmp": 50 * GIB})


def node(name: str = "one (10.0.0.1)", renders: bool = True, **differing: Any) -> Any:
    from infra.ray.node_doctor import NodeLook

    seen = {key: differing.pop(key) for key in ("ahead", "exact", "silent") if key in differing}
    facts = None if "silent" in seen else replace(HERE, host=name, **differing)
    return NodeLook(name, renders, facts, **seen)


def bad(*nodes: Any, here: NodeFacts = HERE, output: str | None = "s3://bucket/out") -> list[Finding]:
    return [it for it in judge_nodes(here, nodes, output) if it.level != "ok"]


def test_a_sound_cluster_has_no_problem_and_says_what_was_looked_at() -> None:
    found = list(judge_nodes(HERE, [node(), node("two (10.0.0.2)")], "s3://bucket/out"))
    assert [it.level for it in found] == ["ok"] * 5
    assert "python 3.11.7, nightreel 0.2.0, ray 2.60.0, torch 2.15.0" in found[0].what
    assert "2 nodes read the output" in found[2].what


def test_mixed_versions_are_named_with_their_nodes() -> None:
    (found,) = bad(node(), node("two (10.0.0.2)", versions={**VERSIONS, "torch": "2.11.0"}))
    assert found.level == "problem"
    assert found.what == "versions of torch are mixed: 2.15.0 here, 2.11.0 on node two (10.0.0.2)"
    (found,) = bad(node(versions={**VERSIONS, "nightreel": ""}))
    assert found.what == "versions of nightreel are mixed: 0.2.0 here, none on node one (10.0.0.1)"


def test_a_node_that_says_nothing_is_a_problem() -> None:
    (found,) = bad(node(silent="No module named 'infra'"))
    assert found.what == "node one (10.0.0.1) could not be looked at: No module named 'infra'"


def test_a_model_that_is_somewhere_must_be_on_all_nodes_that_render() -> None:
    whole = {"embedded": (), "big": ()}
    lacking = node("two (10.0.0.2)", missing={"embedded": (), "big": ("/m/big.ckpt", "/m/big.yaml")})
    (found,) = bad(node(missing=whole), lacking)
    assert found.what == "model 'big' is not on node two (10.0.0.2): '/m/big.ckpt' is missing and 1 more"
    assert bad(node(missing=whole), replace(lacking, renders=False)) == []
    (found,) = bad(node(missing={"embedded": (), "big": None}), here=replace(HERE, missing=whole))
    assert found.what == "model 'big' is not on node one (10.0.0.1): it is not known there"


def test_storage_that_a_node_can_not_use() -> None:
    (found,) = bad(node(), node("two (10.0.0.2)", storage="no credentials for 's3://bucket/out'"))
    assert found.what == "node two (10.0.0.2) can't use the output: no credentials for 's3://bucket/out'"
    assert bad(node(storage="x"), output=None) == []
    (found,) = bad(node(), here=replace(HERE, storage="no such bucket"))
    assert (found.level, found.what) == (
        "warning",
        "whether nodes can use the output could not be looked at: no such bucket",
    )


@pytest.mark.parametrize(
    ("ahead", "level", "words"),
    [(4.0, None, ""), (60.0, "warning", "is 60 s ahead of this"), (-1000.0, "problem", "is 1000 s behind this")],
)
def test_clocks(ahead: float, level: str | None, words: str) -> None:
    found = bad(node(ahead=ahead))
    assert [it.level for it in found] == ([level] if level else [])
    assert all(words in it.what for it in found)
    assert bad(node(ahead=30.0, exact=28.0)) == [], "an answer that took a minute tells little"


def test_room() -> None:
    found = bad(node(room={"/tmp": GIB}), node("two (10.0.0.2)", room={"/tmp": 1000}))
    assert [it.level for it in found] == ["warning", "problem"]
    assert "1.0 GiB free below '/tmp' on node one" in found[0].what


def test_a_look_at_this_machine(tmp_path: Path) -> None:
    output = Storage(str(tmp_path / "out"))
    output.put("asked", b"token")
    question = Question(Registry(tmp_path / "models"), ("embedded", "nowhere"), output, "asked", "answered", b"token")
    facts = look_here(question)
    assert facts.versions == versions_here()
    assert set(facts.versions) == {"python", "nightreel", "ray", "torch"}
    assert facts.missing == {"embedded": (), "nowhere": None}
    assert facts.storage == ""
    assert output.read("answered") == b"token"
    assert all(free > 0 for free in facts.room.values())
    assert "holds something else" in look_here(replace(question, token=b"other")).storage
    assert "nothing at" in look_here(replace(question, key="gone")).storage


def test_files_of_models_that_nobody_fetched_are_missing(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    assert missing_files(registry.entry("embedded")) == ()
    assert missing_files(registry.entry("imagenet-f16-16384"))[0].startswith(str(tmp_path))
