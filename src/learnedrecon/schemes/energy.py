"""Energies of fixed point schemes: what their fixed points minimise, where that is known."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from learnedrecon.networks.bounded import half_square

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.problem import Problem


class EnergyStep(ABC):
    """A step whose fixed points minimise an energy, or the reason why none is known.

    Energies are those of the problem that the step sees, which :class:`Scaling` has scaled, with
    the data term ½‖Tu - y‖².
    """

    @abstractmethod
    def no_energy(self) -> str:
        """The reason why no energy is known; empty where one is."""

    @abstractmethod
    def energy_text(self) -> str:
        """The energy as a formula, such as "½‖Tu - y‖² + λρ(u)"."""

    @abstractmethod
    def energy(self, image: Tensor, problem: Problem) -> Tensor:
        """The energy of every sample, (batch,).

        Args:
            image: u, (batch, channel, *domain.shape).
            problem: Problem of a linear T.

        Raises:
            ConfigError: No energy is known.
        """


def data_term(image: Tensor, problem: Problem) -> Tensor:
    """½‖Tu - y‖² of every sample, (batch,).

    Args:
        image: u, (batch, channel, *domain.shape).
        problem: Problem of T and y.
    """
    return half_square(problem.forward(image) - problem.data)
