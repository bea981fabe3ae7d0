"""The names of `import nightreel`: all there, each where it lives, and nothing heavy loaded for them."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib

import pytest

import nightreel
from tests.helpers.root import ROOT

PACKAGES = ("manifests", "renderers", "infra", "flows")
HEAVY = ("torch", "ray", "prefect", "pyarrow", "PIL", "numpy")


def test_importing_it_loads_nothing() -> None:
    code = f"import sys, nightreel; dir(nightreel); sys.exit(str([m for m in {HEAVY} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "[]"


def test_what_does_not_render_loads_neither_torch_nor_ray_nor_prefect() -> None:
    code = (
        "import sys, nightreel as n\n"
        "n.ManifestRow, n.read_manifest, n.run_job, n.status, n.render, n.Renderer\n"
        "n.read_manifest('manifests/demo.yaml')\n"
        "sys.exit(str([m for m in ('torch', 'ray', 'prefect') if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "[]"


def test_every_name_is_there_and_documented() -> None:
    for name in nightreel.__all__:
        found = getattr(nightreel, name)
        assert found.__name__ == name
        assert found.__doc__, name
    assert dir(nightreel) == nightreel.__all__


def test_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'rendre': it has .*render, "):
        nightreel.rendre  # noqa: B018
    with pytest.raises(ImportError):
        from nightreel import rendre  # noqa: F401


def test_type_checkers_see_the_names_where_they_are() -> None:
    """The imports for them are those that happen at run time: mypy can't follow the latter, nothing runs the former."""
    tree = ast.parse((ROOT / "nightreel.py").read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == nightreel._ROOM_OF
    assert set(seen) == set(nightreel.__all__)


def test_all_packages_are_typed_and_the_module_is_installed() -> None:
    assert [name for name in PACKAGES if not (ROOT / name / "py.typed").is_file()] == []
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(wheel["only-include"]) == {*PACKAGES, "nightreel.py"}
