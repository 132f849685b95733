"""Registry of the methods that configurations, weights files and the command line can name."""

from __future__ import annotations

from typing import Any

from learnedrecon.models.admm_net import ADMMNet
from learnedrecon.models.alista import ALISTA
from learnedrecon.models.classical import FBP, TV
from learnedrecon.models.deep_gradient import DeepGradientDescent
from learnedrecon.models.denoiser_pdhg import DenoiserPDHG
from learnedrecon.models.end_to_end_variational import EndToEndVariationalNetwork
from learnedrecon.models.equilibrium import EquilibriumGradient
from learnedrecon.models.equilibrium_splitting import (
    EquilibriumADMM,
    EquilibriumPrimalDual,
    EquilibriumProximal,
)
from learnedrecon.models.filtered_primal_dual import FilteredPrimalDual
from learnedrecon.models.generalised_scheme import GeneralisedScheme
from learnedrecon.models.half_quadratic import HalfQuadraticSplitting
from learnedrecon.models.invertible_primal_dual import InvertiblePrimalDual, SplitPrimalDual
from learnedrecon.models.learned_gradient import LearnedGradient
from learnedrecon.models.learned_pdhg import LearnedPDHG
from learnedrecon.models.learned_primal import LearnedPrimal
from learnedrecon.models.learned_primal_dual import LearnedPrimalDual
from learnedrecon.models.learned_proximal import LearnedProximal
from learnedrecon.models.lista import LISTA
from learnedrecon.models.lista_coupled import LISTACP, LISTACPSS
from learnedrecon.models.modl import MoDL
from learnedrecon.models.neumann import NeumannNetwork, PreconditionedNeumannNetwork
from learnedrecon.models.operator_recurrent import OperatorRecurrent
from learnedrecon.models.plug_and_play import (
    Denoiser,
    GradientStepDenoising,
    PlugAndPlayADMM,
    PlugAndPlayFBS,
)
from learnedrecon.models.post_processing import PostProcessing
from learnedrecon.models.psi_donet import PsiDONet
from learnedrecon.models.recurrent import RecurrentInferenceMachine
from learnedrecon.models.regularised import CGSense, SparseWavelets, ZeroFilled
from learnedrecon.models.shrinkage_field import ShrinkageField
from learnedrecon.models.subsets import SubsetGradient, SubsetPrimalDual
from learnedrecon.models.unrolled import UnrolledGradient
from learnedrecon.models.variational import VariationalNetwork
from learnedrecon.models.variational_flow import SemiImplicitFlow, VariationalFlow
from learnedrecon.registry import Registry, entry_of
from learnedrecon.schemes.reconstructor import Reconstructor

_CLASSES: dict[str, tuple[type[Any], str]] = {
    "fbp": (FBP, "filtered back-projection"),
    "tv": (TV, "total variation by a primal-dual method (Chambolle, Pock 2011)"),
    "zero_filled": (ZeroFilled, "T*y, or the root of the sum of squares over the coils"),
    "cg_sense": (CGSense, "Tikhonov by conjugate gradients (Pruessmann et al. 2001)"),
    "wavelet_sense": (SparseWavelets, "sparse wavelets by FISTA (Lustig, Donoho, Pauly 2007)"),
    "post_processing": (PostProcessing, "a U-Net after an initial image (Jin et al. 2017)"),
    "learned_gradient": (LearnedGradient, "learned gradient (Adler, Öktem 2017)"),
    "learned_primal_dual": (LearnedPrimalDual, "learned primal-dual (Adler, Öktem 2018)"),
    "learned_primal": (LearnedPrimal, "learned primal (Adler, Öktem 2018), no networks on data"),
    "learned_pdhg": (LearnedPDHG, "learned PDHG (Adler, Öktem 2018), shared weights"),
    "denoiser_pdhg": (
        DenoiserPDHG,
        "PDHG with a learned denoiser as a proximal map (Meinhardt et al. 2017)",
    ),
    "filtered_primal_dual": (
        FilteredPrimalDual,
        "learned primal-dual that sees the filtered residual; the demo's, of no paper",
    ),
    "equilibrium_gradient": (
        EquilibriumGradient,
        "deep equilibrium gradient descent with a certified contraction (Gilton et al. 2021)",
    ),
    "equilibrium_proximal": (
        EquilibriumProximal,
        "deep equilibrium proximal gradient descent (Gilton et al. 2021)",
    ),
    "equilibrium_admm": (EquilibriumADMM, "deep equilibrium ADMM (Gilton et al. 2021)"),
    "equilibrium_primal_dual": (
        EquilibriumPrimalDual,
        "deep equilibrium primal-dual hybrid gradient method (after Gilton et al. 2021)",
    ),
    "unrolled_gradient": (
        UnrolledGradient,
        "unrolled gradient descent, one network for all steps (Gilton et al. 2021)",
    ),
    "invertible_primal_dual": (
        InvertiblePrimalDual,
        "invertible learned primal-dual (Rudzusika et al. 2021), without stored activations",
    ),
    "split_primal_dual": (
        SplitPrimalDual,
        "invertible learned primal-dual with memory, of no paper",
    ),
    "learned_proximal": (
        LearnedProximal,
        "learned proximal descent: a network as the proximal map, learned step sizes",
    ),
    "generalised_scheme": (
        GeneralisedScheme,
        "networks with chosen inputs among u, y, T*y, T(u) and the gradient of R",
    ),
    "deep_gradient_descent": (
        DeepGradientDescent,
        "learned gradient with own weights (Hauptmann et al. 2018), for greedy training",
    ),
    "subset_primal_dual": (
        SubsetPrimalDual,
        "learned primal-dual on parts of the data (Tang et al. 2021)",
    ),
    "subset_gradient": (
        SubsetGradient,
        "learned gradient on parts of the data (after Tang et al. 2021)",
    ),
    "modl": (MoDL, "MoDL, a shared denoiser and an exact data step (Aggarwal et al. 2019)"),
    "half_quadratic_splitting": (
        HalfQuadraticSplitting,
        "unrolled half-quadratic splitting in the form of USRNet (Zhang et al. 2020)",
    ),
    "recurrent_inference_machine": (
        RecurrentInferenceMachine,
        "recurrent inference machine (Putzky, Welling 2017)",
    ),
    "admm_net": (ADMMNet, "ADMM-Net with piecewise linear shrinkage (Yang et al. 2016)"),
    "neumann": (NeumannNetwork, "Neumann network (Gilton et al. 2020)"),
    "preconditioned_neumann": (
        PreconditionedNeumannNetwork,
        "preconditioned Neumann network (Gilton et al. 2020)",
    ),
    "denoiser": (Denoiser, "a denoiser for plug-and-play, averaged by construction or plain"),
    "plug_and_play_fbs": (
        PlugAndPlayFBS,
        "forward-backward splitting with a trained denoiser, proved to converge where averaged",
    ),
    "plug_and_play_admm": (
        PlugAndPlayADMM,
        "ADMM with a trained denoiser (Venkatakrishnan et al. 2013), proved to converge likewise",
    ),
    "gradient_step": (
        GradientStepDenoising,
        "gradient-step plug-and-play (Hurault et al. 2022) with a convex energy",
    ),
    "operator_recurrent": (
        OperatorRecurrent,
        "operator-recurrent network, layers linear in T*T (de Hoop, Lassas, Wong 2022)",
    ),
    "shrinkage_field": (
        ShrinkageField,
        "cascade of shrinkage fields for circular blur and denoising (Schmidt, Roth 2014)",
    ),
    "variational_flow": (
        VariationalFlow,
        "gradient flow of one learned energy up to a learned time (Effland et al. 2020)",
    ),
    "semi_implicit_flow": (
        SemiImplicitFlow,
        "the same flow with an implicit data term, by semi-implicit steps (Effland et al. 2020)",
    ),
    "end_to_end_variational": (
        EndToEndVariationalNetwork,
        "end-to-end variational network with a network for coil maps (Sriram et al. 2020)",
    ),
    "variational_network": (
        VariationalNetwork,
        "gradient descent on an energy of learned filters (Kobler et al. 2017, Hammernik 2018)",
    ),
    "psi_donet": (
        PsiDONet,
        "ISTA in wavelets with a learned perturbation of T*T (Bubba et al. 2021)",
    ),
    "lista": (LISTA, "learned ISTA for sparse coefficients (Gregor, LeCun 2010)"),
    "lista_cp": (LISTACP, "learned ISTA with coupled weights (Chen et al. 2018)"),
    "lista_cpss": (
        LISTACPSS,
        "learned ISTA with coupled weights and support selection (Chen et al. 2018)",
    ),
    "alista": (ALISTA, "learned ISTA whose matrix is computed, not trained (Liu et al. 2019)"),
}

MODELS: Registry[Reconstructor] = Registry(
    "model",
    Reconstructor,  # type: ignore[type-abstract]
    {name: entry_of(each, summary) for name, (each, summary) in _CLASSES.items()},
)
