from .admm_net import ADMMNet as ADMMNet
from .alista import ALISTA as ALISTA
from .base import LearnedScheme as LearnedScheme
from .classical import FBP as FBP
from .classical import TV as TV
from .deep_gradient import DeepGradientDescent as DeepGradientDescent
from .denoiser_pdhg import DenoiserPDHG as DenoiserPDHG
from .end_to_end_variational import EndToEndVariationalNetwork as EndToEndVariationalNetwork
from .equilibrium import EquilibriumGradient as EquilibriumGradient
from .equilibrium import FixedPointSolver as FixedPointSolver
from .equilibrium import PotentialLayers as PotentialLayers
from .equilibrium_splitting import EquilibriumADMM as EquilibriumADMM
from .equilibrium_splitting import EquilibriumPrimalDual as EquilibriumPrimalDual
from .equilibrium_splitting import EquilibriumProximal as EquilibriumProximal
from .filtered_primal_dual import FilteredPrimalDual as FilteredPrimalDual
from .generalised_scheme import GeneralisedScheme as GeneralisedScheme
from .generalised_scheme import StepInputs as StepInputs
from .half_quadratic import HalfQuadraticSplitting as HalfQuadraticSplitting
from .invertible_primal_dual import InvertiblePrimalDual as InvertiblePrimalDual
from .invertible_primal_dual import SplitPrimalDual as SplitPrimalDual
from .learned_gradient import LearnedGradient as LearnedGradient
from .learned_pdhg import LearnedPDHG as LearnedPDHG
from .learned_primal import LearnedPrimal as LearnedPrimal
from .learned_primal_dual import LearnedPrimalDual as LearnedPrimalDual
from .learned_proximal import LearnedProximal as LearnedProximal
from .like import Like as Like
from .lista import LISTA as LISTA
from .lista_coupled import LISTACP as LISTACP
from .lista_coupled import LISTACPSS as LISTACPSS
from .lista_coupled import Support as Support
from .modl import MoDL as MoDL
from .neumann import NeumannNetwork as NeumannNetwork
from .neumann import PreconditionedNeumannNetwork as PreconditionedNeumannNetwork
from .operator_recurrent import OperatorRecurrent as OperatorRecurrent
from .plug_and_play import ConvolutionLayers as ConvolutionLayers
from .plug_and_play import Denoiser as Denoiser
from .plug_and_play import GradientStepDenoising as GradientStepDenoising
from .plug_and_play import PlugAndPlayADMM as PlugAndPlayADMM
from .plug_and_play import PlugAndPlayFBS as PlugAndPlayFBS
from .post_processing import PostProcessing as PostProcessing
from .psi_donet import PsiDONet as PsiDONet
from .recurrent import RecurrentInferenceMachine as RecurrentInferenceMachine
from .registry import MODELS as MODELS
from .regularised import CGSense as CGSense
from .regularised import SparseWavelets as SparseWavelets
from .regularised import ZeroFilled as ZeroFilled
from .shrinkage_field import ShrinkageField as ShrinkageField
from .start import FilteredBackprojection as FilteredBackprojection
from .subsets import SubsetGradient as SubsetGradient
from .subsets import SubsetPrimalDual as SubsetPrimalDual
from .subsets import Subsets as Subsets
from .unrolled import UnrolledGradient as UnrolledGradient
from .variational import VariationalNetwork as VariationalNetwork
from .variational_flow import SemiImplicitFlow as SemiImplicitFlow
from .variational_flow import VariationalFlow as VariationalFlow

__all__ = [
    "ALISTA",
    "FBP",
    "LISTA",
    "LISTACP",
    "LISTACPSS",
    "MODELS",
    "TV",
    "ADMMNet",
    "CGSense",
    "ConvolutionLayers",
    "DeepGradientDescent",
    "Denoiser",
    "DenoiserPDHG",
    "EndToEndVariationalNetwork",
    "EquilibriumADMM",
    "EquilibriumGradient",
    "EquilibriumPrimalDual",
    "EquilibriumProximal",
    "FilteredBackprojection",
    "FilteredPrimalDual",
    "FixedPointSolver",
    "GeneralisedScheme",
    "GradientStepDenoising",
    "HalfQuadraticSplitting",
    "InvertiblePrimalDual",
    "LearnedGradient",
    "LearnedPDHG",
    "LearnedPrimal",
    "LearnedPrimalDual",
    "LearnedProximal",
    "LearnedScheme",
    "Like",
    "MoDL",
    "NeumannNetwork",
    "OperatorRecurrent",
    "PlugAndPlayADMM",
    "PlugAndPlayFBS",
    "PostProcessing",
    "PotentialLayers",
    "PreconditionedNeumannNetwork",
    "PsiDONet",
    "RecurrentInferenceMachine",
    "SemiImplicitFlow",
    "ShrinkageField",
    "SparseWavelets",
    "SplitPrimalDual",
    "StepInputs",
    "SubsetGradient",
    "SubsetPrimalDual",
    "Subsets",
    "Support",
    "UnrolledGradient",
    "VariationalFlow",
    "VariationalNetwork",
    "ZeroFilled",
]
