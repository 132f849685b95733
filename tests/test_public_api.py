"""What ``import learnedrecon`` offers, and how little it costs."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import learnedrecon

TREE = ast.parse(Path(learnedrecon.__file__).read_text(encoding="utf-8"))


def type_checking_block() -> dict[str, set[str]]:
    """Module → names, as type checkers see them."""
    (block,) = (
        node
        for node in TREE.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    found: dict[str, set[str]] = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        assert node.module is not None
        assert all(alias.asname is None for alias in node.names)
        module = node.module.removeprefix("learnedrecon.")
        found[module] = {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("name", learnedrecon.__all__)
def test_every_name_is_the_one_its_module_defines(name: str) -> None:
    value = getattr(learnedrecon, name)
    home = importlib.import_module(f"learnedrecon.{learnedrecon._MODULE_OF[name]}")
    assert value is getattr(home, name)
    assert value.__name__ == name
    assert value.__module__ == home.__name__, "re-exported from elsewhere"
    assert inspect.getdoc(value), "public without a docstring"


def test_the_list_is_sorted_and_has_no_name_twice() -> None:
    """Constants, then classes, then functions, each sorted: the order of ruff."""

    def key(name: str) -> tuple[int, str]:
        return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)

    assert learnedrecon.__all__ == sorted(set(learnedrecon.__all__), key=key)


def test_type_checkers_see_what_there_is() -> None:
    assert type_checking_block() == {
        module: set(names) for module, names in learnedrecon._HOMES.items()
    }
    assert set(learnedrecon.__all__) == set(learnedrecon._MODULE_OF)
    assert dir(learnedrecon) == sorted(learnedrecon.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'learnedrecon' has no attribute 'RayTransfrom'"):
        _ = learnedrecon.RayTransfrom
    with pytest.raises(ImportError, match="RayTransfrom"):
        exec("from learnedrecon import RayTransfrom")


def run(code: str) -> str:
    command = [sys.executable, "-I", "-W", "error", "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_importing_is_fast_and_leaves_torch_alone() -> None:
    """Under a tenth of a second beyond the interpreter's own start, at the best of three times."""
    code = """
import sys, time
begun = time.perf_counter()
import learnedrecon
print(time.perf_counter() - begun, "torch" in sys.modules, "numpy" in sys.modules)
"""
    outcomes = [run(code).split() for _ in range(3)]
    assert all(outcome[1:] == ["False", "False"] for outcome in outcomes)
    assert min(float(seconds) for seconds, *_ in outcomes) < 0.1


def test_a_name_is_imported_when_it_is_used() -> None:
    code = """
import sys
import learnedrecon
learnedrecon.AngleRange
print("torch" in sys.modules, "learnedrecon.operators.ray.geometry2d" in sys.modules,
      "learnedrecon.models.classical" in sys.modules)
"""
    assert run(code).split() == ["True", "True", "False"]
