"""Learned iterative reconstruction for inverse problems.

The main classes and functions are at the top level; operators, models, solvers and everything else
are in lazy sub-packages: ``lr.operators.RayTransform``, ``lr.models.LearnedPrimalDual``,
``lr.solvers.fbp``. Names are imported from their modules when they are first used, so that ``import
learnedrecon`` is fast and does not import torch.
"""

from __future__ import annotations

import lazy_loader

_attribute, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    try:
        return _attribute(name)
    except AttributeError as error:
        if name.startswith("__"):
            raise
        from learnedrecon.whereabouts import elsewhere

        raise AttributeError(elsewhere(name)) from error
