"""What a model says of itself in the logs of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelerate.utils import extract_model_from_parallel

from learnedrecon.schemes.reconstructor import Reconstructor

if TYPE_CHECKING:
    from torch import nn

    from learnedrecon.problem import Problem


def diagnostics_of(model: nn.Module, problem: Problem | None = None) -> dict[str, float]:
    """The :meth:`Reconstructor.diagnostics` of a model, which may be wrapped or compiled.

    Args:
        model: nothing is said of what is no Reconstructor.
        problem: see there.
    """
    inner = extract_model_from_parallel(model, keep_torch_compile=False)
    return inner.diagnostics(problem) if isinstance(inner, Reconstructor) else {}
