"""No file that somebody else made is ever run: the packages hold no call that could."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
import yaml

from manifests.sources import yaml_source
from tests.helpers.root import ROOT

PACKAGES = ("manifests", "renderers", "infra", "flows")
# What runs a file's content, by the last words of its name.
RUNS = {
    "pickle.load", "pickle.loads", "pickle.Unpickler", "cloudpickle.load", "cloudpickle.loads", "dill.load",
    "joblib.load", "marshal.load", "marshal.loads", "shelve.open", "yaml.load", "yaml.unsafe_load", "yaml.full_load",
    "torch.jit.load", "hub.load", "runpy.run_path", "eval", "exec",
}  # fmt: skip


# Loaders of PyYAML that make whatever a file names.
UNSAFE_LOADERS = ("Loader", "CLoader", "UnsafeLoader", "CUnsafeLoader", "FullLoader", "CFullLoader")


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def unsafe_calls(source: str) -> Iterator[str]:
    """What a call is, for every call that may run what a file says."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module in ("yaml", "yaml.loader"):
            yield from (f"yaml.{it.name}" for it in node.names if it.name in UNSAFE_LOADERS)
        if isinstance(node, ast.Attribute) and dotted(node) in [f"yaml.{name}" for name in UNSAFE_LOADERS]:
            yield dotted(node)
        if isinstance(node, ast.ImportFrom) and node.module in ("pickle", "marshal", "cloudpickle", "dill", "shelve"):
            yield f"from {node.module} import ..."
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        if name in RUNS or any(name.endswith(f".{run}") for run in RUNS if "." in run):
            yield name
        elif name == "torch.load":
            only = given.get("weights_only")
            if not (isinstance(only, ast.Constant) and only.value is True):
                yield "torch.load without weights_only=True"
        elif any(isinstance(v, ast.Constant) and v.value is False for k, v in given.items() if k == "weights_only"):
            yield f"{name} with weights_only=False"
        elif any(isinstance(v, ast.Constant) and v.value is True for k, v in given.items() if k == "allow_pickle"):
            yield f"{name} with allow_pickle=True"


@pytest.mark.parametrize("source", [
    "import pickle\npickle.load(f)", "import pickle as p\nfrom pickle import loads", "torch.load('x')",
    "torch.load('x', weights_only=False)", "torch.load('x', weights_only=flag)", "yaml.load(t, Loader=yaml.Loader)",
    "np.load(f, allow_pickle=True)", "open_clip.create_model(n, weights_only=False)", "torch.jit.load(f)", "eval(text)",
    "torch.hub.load('a', 'b')", "class L(yaml.Loader): pass", "from yaml import FullLoader",
])  # fmt: skip
def test_an_unsafe_call_is_recognised(source: str) -> None:
    assert list(unsafe_calls(source))


@pytest.mark.parametrize("source", [
    "torch.load('x', weights_only=True)", "yaml.safe_load(t)", "model.eval()", "json.loads(t)", "np.load(f)",
])  # fmt: skip
def test_a_safe_call_is_let_pass(source: str) -> None:
    assert not list(unsafe_calls(source))


def test_no_file_is_loaded_in_a_way_that_could_run_it() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {call}"
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        for call in unsafe_calls(path.read_text(encoding="utf-8"))
    ]
    assert not found, "read it as data: safetensors, JSON, yaml.safe_load, renderers.models.checkpoint"


def test_the_loader_of_manifests_is_a_safe_one() -> None:
    assert issubclass(yaml_source._Loader, (yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
