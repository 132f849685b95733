"""How often the ray transform and its adjoint are evaluated, by schemes and by autograd."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest import mock

from learnedrecon.operators.ray import batched_kernels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor


@dataclass
class Evaluations:
    """A counter.

    Attributes:
        number: of projections and back-projections of one image; m of n angles count m/n.
        paused: whether it does not count now.
    """

    number: float = 0.0
    paused: bool = False

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Inside, nothing is counted."""
        self.paused = True
        try:
            yield
        finally:
            self.paused = False


@contextmanager
def counted(shape: tuple[int, int], angles: int) -> Iterator[Evaluations]:
    """Counts inside.

    Args:
        shape: of the images; projections of others, such as the finer ones of simulated data, are
            not counted.
        angles: of the whole scan.
    """
    found = Evaluations()
    plain = batched_kernels.evaluate

    def evaluate(x: Tensor, vectors: Tensor, sizes: Any, *, transpose: bool) -> Tensor:  # noqa: ANN401
        if not found.paused and tuple(sizes.shape) == shape:
            images = x.shape[:-2].numel() if x.ndim > 2 else 1
            found.number += images * vectors.shape[-2] / angles
        return plain(x, vectors, sizes, transpose=transpose)

    with mock.patch.object(batched_kernels, "evaluate", evaluate):
        yield found
