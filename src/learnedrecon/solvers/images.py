"""Operators on the unfinished images of a batch: shared by all images, or one per image."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import torch

from learnedrecon.operators.leading import largest
from learnedrecon.operators.linear import LinearOperator

if TYPE_CHECKING:
    from torch import Tensor


class ImagesOperator(LinearOperator):
    """T on images (image, *domain.shape), the leading axes of a batch flattened to one.

    Args:
        operator: T.
    """

    def __init__(self, operator: LinearOperator) -> None:
        super().__init__(operator.domain, operator.codomain)
        self.operator = operator

    def compute_norm(self) -> float:
        return largest(self.operator.norm())

    @abstractmethod
    def norms(self, like: Tensor) -> Tensor:
        """‖T‖ of each of the images ``like`` (image, ...), (image,), float64."""

    @abstractmethod
    def keep(self, going: Tensor) -> None:
        """Restriction to those images that ``going`` selects."""


class SharedOperator(ImagesOperator):
    """An operator T that is the same for all images."""

    def evaluate(self, u: Tensor) -> Tensor:
        return self.operator(u)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return self.operator.adjoint(v)

    def norms(self, like: Tensor) -> Tensor:
        return torch.full(
            (len(like),), self.compute_norm(), dtype=torch.float64, device=like.device
        )

    def keep(self, going: Tensor) -> None:
        del going


class SeparateOperator(ImagesOperator):
    """An operator T with tensors per sample, such as angles; finished images are zero inside.

    Args:
        operator: T.
        lead: Leading axes of the batch.
    """

    def __init__(self, operator: LinearOperator, lead: tuple[int, ...]) -> None:
        super().__init__(operator)
        self.lead = lead
        self.active = torch.arange(torch.Size(lead).numel())

    def evaluate(self, u: Tensor) -> Tensor:
        return self._of_all(self.operator(self._to_all(u)))

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return self._of_all(self.operator.adjoint(self._to_all(v)))

    def norms(self, like: Tensor) -> Tensor:
        norm = torch.as_tensor(self.operator.norm(), dtype=torch.float64, device=like.device)
        return norm.detach().expand(self.lead).flatten()[self.active.to(like.device)]

    def keep(self, going: Tensor) -> None:
        self.active = self.active.to(going.device)[going]

    def _to_all(self, x: Tensor) -> Tensor:
        whole = x.new_zeros(torch.Size(self.lead).numel(), *x.shape[1:])
        whole[self.active] = x
        return whole.view(*self.lead, *x.shape[1:])

    def _of_all(self, x: Tensor) -> Tensor:
        return x.flatten(0, len(self.lead) - 1)[self.active]


def images_of(operator: LinearOperator, lead: tuple[int, ...]) -> ImagesOperator:
    """T on the images of a batch with the leading axes ``lead``.

    T counts as one with tensors per sample where it gives a single image leading axes.

    Args:
        operator: T.
        lead: Leading axes of the batch.
    """
    device = next((tensor.device for tensor in operator.buffers()), "cpu")
    image = operator.domain.zeros(device=device)
    own = operator(image).ndim > operator.codomain.ndim
    return SeparateOperator(operator, lead) if own else SharedOperator(operator)
