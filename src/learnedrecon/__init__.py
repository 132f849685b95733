"""Learned iterative reconstruction for inverse problems.

Names are imported from their modules when they are first used, so that ``import learnedrecon`` is
fast and does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from learnedrecon.config.yaml_file import read_geometry, read_operator, write_geometry
    from learnedrecon.functionals.combined import FunctionalMultiple, FunctionalOf, Misfit
    from learnedrecon.functionals.constraints import Box, NonNegative
    from learnedrecon.functionals.fidelities import (
        Huber,
        KullbackLeibler,
        LeastSquares,
        WeightedLeastSquares,
    )
    from learnedrecon.functionals.norms import L1, GroupL1, HuberNorm
    from learnedrecon.functionals.regularisers import Dirichlet, TotalVariation
    from learnedrecon.models.classical import FBP, TV
    from learnedrecon.models.filtered_primal_dual import FilteredPrimalDual
    from learnedrecon.models.learned_gradient import LearnedGradient
    from learnedrecon.models.learned_primal_dual import LearnedPrimalDual
    from learnedrecon.models.post_processing import PostProcessing
    from learnedrecon.models.start import FilteredBackprojection
    from learnedrecon.networks.as_real import AsReal
    from learnedrecon.operators.adapters.astra import from_astra
    from learnedrecon.operators.adapters.deepinv import from_deepinv, to_deepinv
    from learnedrecon.operators.adapters.odl import from_odl, to_odl
    from learnedrecon.operators.adapters.pylops import from_pylops, to_pylops
    from learnedrecon.operators.adapters.scipy import from_scipy, to_scipy
    from learnedrecon.operators.base import Operator
    from learnedrecon.operators.linear import LinearOperator
    from learnedrecon.operators.magnitude import Magnitude, PhaseRetrieval
    from learnedrecon.operators.mri.cartesian import CartesianMRI
    from learnedrecon.operators.mri.cartesian_spec import Cartesian
    from learnedrecon.operators.mri.fourier import CentredFFT
    from learnedrecon.operators.mri.non_cartesian import NonCartesian, NonCartesianMRI
    from learnedrecon.operators.mri.trajectories import Kooshball, Radial, Spiral
    from learnedrecon.operators.ray.beam3d import RayVectors3D
    from learnedrecon.operators.ray.flat_panel import FlatPanel
    from learnedrecon.operators.ray.geometry2d import (
        AngleRange,
        FanBeam,
        FlatDetector,
        ParallelBeam,
    )
    from learnedrecon.operators.ray.geometry3d import ConeBeam, Orbit, ParallelBeam3D
    from learnedrecon.operators.ray.transform2d import RayTransform
    from learnedrecon.operators.ray.transform3d import RayTransform3D
    from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
    from learnedrecon.operators.saturation import Saturation
    from learnedrecon.operators.space import Space
    from learnedrecon.problem import InverseProblem, Problem
    from learnedrecon.schemes.backward import Backprop, Checkpointed
    from learnedrecon.schemes.reconstructor import Estimate, Iterative, Reconstructor
    from learnedrecon.schemes.scaling import AdjointScale, ImageScale, NoScaling
    from learnedrecon.schemes.step import Chain, Repeat, Step
    from learnedrecon.solvers.cg import cg
    from learnedrecon.solvers.cg_sense import cg_sense
    from learnedrecon.solvers.direct.fbp import fbp
    from learnedrecon.solvers.direct.fdk import fdk
    from learnedrecon.solvers.direct.gridding import gridding
    from learnedrecon.solvers.fista import fista
    from learnedrecon.solvers.lsqr import lsqr
    from learnedrecon.solvers.normal import solve_normal
    from learnedrecon.solvers.pdhg import Term, pdhg
    from learnedrecon.solvers.result import SolverResult
    from learnedrecon.solvers.tv import tv_reconstruction
    from learnedrecon.weights.checkpoint import load_weights, save_weights

_HOMES = {
    "config.yaml_file": (
        "read_geometry",
        "read_operator",
        "write_geometry",
    ),
    "functionals.combined": (
        "FunctionalOf",
        "Misfit",
        "FunctionalMultiple",
    ),
    "functionals.constraints": (
        "Box",
        "NonNegative",
    ),
    "functionals.fidelities": (
        "Huber",
        "KullbackLeibler",
        "LeastSquares",
        "WeightedLeastSquares",
    ),
    "functionals.norms": (
        "GroupL1",
        "HuberNorm",
        "L1",
    ),
    "functionals.regularisers": (
        "Dirichlet",
        "TotalVariation",
    ),
    "models.classical": (
        "FBP",
        "TV",
    ),
    "models.filtered_primal_dual": ("FilteredPrimalDual",),
    "models.start": ("FilteredBackprojection",),
    "models.learned_gradient": ("LearnedGradient",),
    "models.learned_primal_dual": ("LearnedPrimalDual",),
    "models.post_processing": ("PostProcessing",),
    "networks.as_real": ("AsReal",),
    "operators.adapters.astra": ("from_astra",),
    "operators.adapters.deepinv": (
        "from_deepinv",
        "to_deepinv",
    ),
    "operators.adapters.odl": (
        "from_odl",
        "to_odl",
    ),
    "operators.adapters.pylops": (
        "from_pylops",
        "to_pylops",
    ),
    "operators.adapters.scipy": (
        "from_scipy",
        "to_scipy",
    ),
    "operators.base": ("Operator",),
    "operators.ray.beam3d": ("RayVectors3D",),
    "operators.mri.cartesian_spec": ("Cartesian",),
    "operators.mri.cartesian": ("CartesianMRI",),
    "operators.mri.fourier": ("CentredFFT",),
    "operators.ray.geometry2d": (
        "AngleRange",
        "FanBeam",
        "FlatDetector",
        "ParallelBeam",
    ),
    "operators.ray.geometry3d": (
        "ConeBeam",
        "Orbit",
        "ParallelBeam3D",
    ),
    "operators.linear": ("LinearOperator",),
    "operators.magnitude": (
        "Magnitude",
        "PhaseRetrieval",
    ),
    "operators.mri.non_cartesian": (
        "NonCartesian",
        "NonCartesianMRI",
    ),
    "operators.ray.flat_panel": ("FlatPanel",),
    "operators.ray.transform2d": ("RayTransform",),
    "operators.ray.transform3d": ("RayTransform3D",),
    "operators.saturation": ("Saturation",),
    "operators.space": ("Space",),
    "operators.mri.trajectories": (
        "Kooshball",
        "Radial",
        "Spiral",
    ),
    "operators.ray.transmission": (
        "Transmission",
        "TransmissionCT",
    ),
    "problem": (
        "InverseProblem",
        "Problem",
    ),
    "schemes.backward": (
        "Backprop",
        "Checkpointed",
    ),
    "schemes.reconstructor": (
        "Estimate",
        "Iterative",
        "Reconstructor",
    ),
    "schemes.scaling": (
        "AdjointScale",
        "ImageScale",
        "NoScaling",
    ),
    "schemes.step": (
        "Chain",
        "Repeat",
        "Step",
    ),
    "solvers.cg": ("cg",),
    "solvers.cg_sense": ("cg_sense",),
    "solvers.direct.fbp": ("fbp",),
    "solvers.direct.fdk": ("fdk",),
    "solvers.fista": ("fista",),
    "solvers.direct.gridding": ("gridding",),
    "solvers.lsqr": ("lsqr",),
    "solvers.normal": ("solve_normal",),
    "solvers.pdhg": (
        "Term",
        "pdhg",
    ),
    "solvers.result": ("SolverResult",),
    "solvers.tv": ("tv_reconstruction",),
    "weights.checkpoint": (
        "load_weights",
        "save_weights",
    ),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "FBP",
    "L1",
    "TV",
    "AdjointScale",
    "AngleRange",
    "AsReal",
    "Backprop",
    "Box",
    "Cartesian",
    "CartesianMRI",
    "CentredFFT",
    "Chain",
    "Checkpointed",
    "ConeBeam",
    "Dirichlet",
    "Estimate",
    "FanBeam",
    "FilteredBackprojection",
    "FilteredPrimalDual",
    "FlatDetector",
    "FlatPanel",
    "FunctionalMultiple",
    "FunctionalOf",
    "GroupL1",
    "Huber",
    "HuberNorm",
    "ImageScale",
    "InverseProblem",
    "Iterative",
    "Kooshball",
    "KullbackLeibler",
    "LearnedGradient",
    "LearnedPrimalDual",
    "LeastSquares",
    "LinearOperator",
    "Magnitude",
    "Misfit",
    "NoScaling",
    "NonCartesian",
    "NonCartesianMRI",
    "NonNegative",
    "Operator",
    "Orbit",
    "ParallelBeam",
    "ParallelBeam3D",
    "PhaseRetrieval",
    "PostProcessing",
    "Problem",
    "Radial",
    "RayTransform",
    "RayTransform3D",
    "RayVectors3D",
    "Reconstructor",
    "Repeat",
    "Saturation",
    "SolverResult",
    "Space",
    "Spiral",
    "Step",
    "Term",
    "TotalVariation",
    "Transmission",
    "TransmissionCT",
    "WeightedLeastSquares",
    "cg",
    "cg_sense",
    "fbp",
    "fdk",
    "fista",
    "from_astra",
    "from_deepinv",
    "from_odl",
    "from_pylops",
    "from_scipy",
    "gridding",
    "load_weights",
    "lsqr",
    "pdhg",
    "read_geometry",
    "read_operator",
    "save_weights",
    "solve_normal",
    "to_deepinv",
    "to_odl",
    "to_pylops",
    "to_scipy",
    "tv_reconstruction",
    "write_geometry",
]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'learnedrecon' has no attribute '{name}'")
    return getattr(import_module(f"learnedrecon.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
