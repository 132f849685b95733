"""The methods that a configuration, a weights file or the command line can name."""

from __future__ import annotations

from typing import Any

from learnedrecon.models.classical import FBP, TV
from learnedrecon.models.deep_gradient import DeepGradientDescent
from learnedrecon.models.equilibrium import EquilibriumGradient
from learnedrecon.models.equilibrium_splitting import (
    EquilibriumADMM,
    EquilibriumPrimalDual,
    EquilibriumProximal,
)
from learnedrecon.models.filtered_primal_dual import FilteredPrimalDual
from learnedrecon.models.invertible_primal_dual import InvertiblePrimalDual, SplitPrimalDual
from learnedrecon.models.learned_gradient import LearnedGradient
from learnedrecon.models.learned_primal_dual import LearnedPrimalDual
from learnedrecon.models.post_processing import PostProcessing
from learnedrecon.models.subsets import SubsetGradient, SubsetPrimalDual
from learnedrecon.models.unrolled import UnrolledGradient
from learnedrecon.registry import Registry, entry_of
from learnedrecon.schemes.reconstructor import Reconstructor

_CLASSES: dict[str, type[Any]] = {
    "fbp": FBP,
    "tv": TV,
    "post_processing": PostProcessing,
    "learned_gradient": LearnedGradient,
    "learned_primal_dual": LearnedPrimalDual,
    "filtered_primal_dual": FilteredPrimalDual,
    "equilibrium_gradient": EquilibriumGradient,
    "equilibrium_proximal": EquilibriumProximal,
    "equilibrium_admm": EquilibriumADMM,
    "equilibrium_primal_dual": EquilibriumPrimalDual,
    "unrolled_gradient": UnrolledGradient,
    "invertible_primal_dual": InvertiblePrimalDual,
    "split_primal_dual": SplitPrimalDual,
    "deep_gradient_descent": DeepGradientDescent,
    "subset_primal_dual": SubsetPrimalDual,
    "subset_gradient": SubsetGradient,
}

MODELS: Registry[Reconstructor] = Registry(
    "model",
    Reconstructor,  # type: ignore[type-abstract]
    {name: entry_of(each) for name, each in _CLASSES.items()},
)
