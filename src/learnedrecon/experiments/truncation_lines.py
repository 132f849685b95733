"""Sentences about projections that the detector cuts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from learnedrecon.solvers.direct.truncation import find_truncation

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEAST_TO_JUDGE: Final = 8


def truncation_lines(values: NDArray[np.generic]) -> tuple[str, ...]:
    """Lines about truncated projections; none where they are not.

    Args:
        values: Line integrals (angle, detector), or a stack of these.
    """
    """What is said of line integrals (angle, detector) that the detector cuts."""
    if min(values.shape) < _LEAST_TO_JUDGE:
        return ()
    found = find_truncation(torch.from_numpy(np.asarray(values, dtype=np.float64))[None])
    if not found:
        return ()
    return (
        f"As line integrals: {str(found)[0].lower()}{str(found)[1:]}",
        "'reconstruct fbp' continues them; other methods need an image that covers the object.",
    )
