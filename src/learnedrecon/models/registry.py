"""The methods that a configuration, a checkpoint or the command line can name."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from learnedrecon.models.classical import FBP, TV, TotalVariationSpec
from learnedrecon.models.deep_gradient import DeepGradient, deep_gradient_descent
from learnedrecon.models.equilibrium import EquilibriumGradient, equilibrium_gradient
from learnedrecon.models.equilibrium_splitting import (
    EquilibriumADMM,
    EquilibriumPrimalDual,
    EquilibriumProximal,
    equilibrium_admm,
    equilibrium_primal_dual,
    equilibrium_proximal,
)
from learnedrecon.models.filtered_primal_dual import FilteredPrimalDual, filtered_primal_dual
from learnedrecon.models.initial import FilteredBackprojection
from learnedrecon.models.invertible_primal_dual import (
    InvertiblePrimalDual,
    SplitPrimalDualSpec,
    invertible_primal_dual,
    split_primal_dual,
)
from learnedrecon.models.learned_gradient import LearnedGradient, learned_gradient
from learnedrecon.models.learned_primal_dual import LearnedPrimalDual, learned_primal_dual
from learnedrecon.models.post_processing import FBPUNet, PostProcessing
from learnedrecon.models.subsets import (
    SubsetGradient,
    SubsetPrimalDual,
    subset_gradient,
    subset_primal_dual,
)
from learnedrecon.models.unrolled import UnrolledGradient, unrolled_gradient
from learnedrecon.specs import Entry, Registry

if TYPE_CHECKING:
    from learnedrecon.schemes.reconstructor import Reconstructor

MODELS: Registry[Reconstructor] = MappingProxyType(
    {
        "fbp": Entry(FilteredBackprojection, FBP, "filtered back-projection"),
        "tv": Entry(TotalVariationSpec, TV, "total variation by a primal-dual method"),
        "fbp_unet": Entry(FBPUNet, PostProcessing, "a U-Net after filtered back-projection"),
        "learned_gradient": Entry(
            LearnedGradient, learned_gradient, "learned gradient (Adler, Öktem 2017)"
        ),
        "learned_primal_dual": Entry(
            LearnedPrimalDual, learned_primal_dual, "learned primal-dual (Adler, Öktem 2018)"
        ),
        "filtered_primal_dual": Entry(
            FilteredPrimalDual,
            filtered_primal_dual,
            "learned primal-dual that sees the filtered residual; the demo's",
        ),
        "equilibrium_gradient": Entry(
            EquilibriumGradient,
            equilibrium_gradient,
            "deep equilibrium gradient descent with a certified contraction",
        ),
        "equilibrium_proximal": Entry(
            EquilibriumProximal, equilibrium_proximal, "deep equilibrium proximal gradient descent"
        ),
        "equilibrium_admm": Entry(EquilibriumADMM, equilibrium_admm, "deep equilibrium ADMM"),
        "equilibrium_primal_dual": Entry(
            EquilibriumPrimalDual,
            equilibrium_primal_dual,
            "deep equilibrium primal-dual hybrid gradient method",
        ),
        "unrolled_gradient": Entry(
            UnrolledGradient,
            unrolled_gradient,
            "unrolled gradient descent, one network for all steps (Gilton et al. 2021)",
        ),
        "invertible_primal_dual": Entry(
            InvertiblePrimalDual,
            invertible_primal_dual,
            "invertible learned primal-dual (Rudzusika et al. 2021), without stored activations",
        ),
        "split_primal_dual": Entry(
            SplitPrimalDualSpec, split_primal_dual, "invertible learned primal-dual with memory"
        ),
        "deep_gradient_descent": Entry(
            DeepGradient,
            deep_gradient_descent,
            "learned gradient with own weights (Hauptmann et al. 2018), for greedy training",
        ),
        "subset_primal_dual": Entry(
            SubsetPrimalDual,
            subset_primal_dual,
            "learned primal-dual on parts of the data (Tang et al. 2021)",
        ),
        "subset_gradient": Entry(
            SubsetGradient, subset_gradient, "learned gradient on parts of the data"
        ),
    }
)
