from .base import Fidelity as Fidelity
from .base import Regulariser as Regulariser
from .combined import FunctionalMultiple as FunctionalMultiple
from .combined import FunctionalOf as FunctionalOf
from .combined import Misfit as Misfit
from .constraints import Box as Box
from .constraints import NonNegative as NonNegative
from .fidelities import Huber as Huber
from .fidelities import KullbackLeibler as KullbackLeibler
from .fidelities import LeastSquares as LeastSquares
from .fidelities import WeightedLeastSquares as WeightedLeastSquares
from .norms import L1 as L1
from .norms import GroupL1 as GroupL1
from .norms import HuberNorm as HuberNorm
from .regularisers import Dirichlet as Dirichlet
from .regularisers import TotalVariation as TotalVariation

__all__ = [
    "L1",
    "Box",
    "Dirichlet",
    "Fidelity",
    "FunctionalMultiple",
    "FunctionalOf",
    "GroupL1",
    "Huber",
    "HuberNorm",
    "KullbackLeibler",
    "LeastSquares",
    "Misfit",
    "NonNegative",
    "Regulariser",
    "TotalVariation",
    "WeightedLeastSquares",
]
