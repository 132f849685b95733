"""What ``import learnedrecon`` offers, and how little it costs."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

import learnedrecon
from learnedrecon.whereabouts import elsewhere, public_names

ROOT = Path(learnedrecon.__file__).parent
NAMES = public_names()


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_public_name_is_there_and_documented(name: str) -> None:
    package, own = NAMES[name].rsplit(".", 1)
    value = getattr(importlib.import_module(package), own)
    if isinstance(value, ModuleType) or not (inspect.isclass(value) or inspect.isfunction(value)):
        return
    assert value.__name__ == own
    assert inspect.getdoc(value), "public without a docstring"


def test_the_top_has_few_words() -> None:
    own = [name for name in dir(learnedrecon) if name[0].isupper() or name.islower()]
    packages = [name for name in own if isinstance(getattr(learnedrecon, name), ModuleType)]
    assert len(own) - len(packages) <= 30


def test_no_name_lives_in_two_packages() -> None:
    stubs = [stub for stub in ROOT.rglob("__init__.pyi") if stub.parent != ROOT]
    listed = [
        name
        for stub in stubs
        for name in importlib.import_module(
            ".".join(stub.parent.relative_to(ROOT.parent).parts)
        ).__dir__()
    ]
    assert [name for name, times in Counter(listed).items() if times > 1] == []


def test_a_wrong_name_says_where_it_lives() -> None:
    with pytest.raises(AttributeError, match=r"it is learnedrecon\.operators\.RayTransform$"):
        _ = learnedrecon.RayTransform  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"did you mean learnedrecon\.operators\.RayTransform"):
        _ = learnedrecon.RayTransfrom  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match="RayTransfrom"):
        exec("from learnedrecon import RayTransfrom")
    assert elsewhere("zzzzz") == "module 'learnedrecon' has no attribute 'zzzzz'"


def run(code: str) -> str:
    command = [sys.executable, "-I", "-W", "error", "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_importing_leaves_what_is_slow_alone() -> None:
    code = """
import sys
import learnedrecon
slow = ("torch", "numpy", "scipy", "matplotlib", "pydantic", "yaml")
print(*(name for name in slow if name in sys.modules))
"""
    assert run(code).split() == []


def test_a_name_is_imported_when_it_is_used() -> None:
    code = """
import sys
import learnedrecon
learnedrecon.operators.AngleRange
print("torch" in sys.modules, "learnedrecon.operators.ray.geometry2d" in sys.modules,
      "learnedrecon.models.classical" in sys.modules)
"""
    assert run(code).split() == ["True", "True", "False"]
