"""Tests against libraries that are not in the lock; `make test-peers` runs them.

They are collected only with LEARNEDRECON_PEERS=1 in the environment, and a missing library then
fails.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import types
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ASKED_FOR = os.environ.get("LEARNEDRECON_PEERS") == "1"
collect_ignore_glob = [] if ASKED_FOR else ["test_*.py"]


class _Empty(types.ModuleType):
    """A module whose every attribute is an empty class."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class _StandIn(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds torchvision, which deepinv imports and nothing that is tested here uses."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002
        target: types.ModuleType | None = None,  # noqa: ARG002
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] != "torchvision":
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _Empty(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Leaves it empty."""


if ASKED_FOR:
    if importlib.util.find_spec("torchvision") is None:
        sys.meta_path.append(_StandIn())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module("deepinv")
