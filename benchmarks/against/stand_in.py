"""deepinv's modules, with an empty torchvision.

It imports torchvision, of which no build fits a CPU torch from disk; nothing that is measured
here uses it.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


class _StandIn(types.ModuleType):
    """A module whose every attribute is an empty class."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds torchvision and everything in it."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - what other classes look at
        target: types.ModuleType | None = None,  # noqa: ARG002 - what other classes look at
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] != "torchvision":
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _StandIn(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Leaves it empty."""


def load(name: str) -> Any:  # noqa: ANN401 - of a package without types
    """A module, or None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def deepinv(name: str) -> Any:  # noqa: ANN401 - of a package without types
    """A module of deepinv, imported without its warnings."""
    if importlib.util.find_spec("torchvision") is None:
        sys.meta_path.append(_Finder())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(f"deepinv.{name}")
