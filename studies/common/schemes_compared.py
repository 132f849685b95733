"""The learned schemes that are compared, of sizes that fit the time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learnedrecon.models.admm_net import ADMMNet
from learnedrecon.models.generalised_scheme import GeneralisedScheme
from learnedrecon.models.half_quadratic import HalfQuadraticSplitting
from learnedrecon.models.learned_gradient import LearnedGradient
from learnedrecon.models.learned_pdhg import LearnedPDHG
from learnedrecon.models.learned_primal import LearnedPrimal
from learnedrecon.models.learned_primal_dual import LearnedPrimalDual
from learnedrecon.models.learned_proximal import LearnedProximal
from learnedrecon.models.modl import MoDL
from learnedrecon.models.neumann import PreconditionedNeumannNetwork
from learnedrecon.models.post_processing import PostProcessing
from learnedrecon.models.recurrent import RecurrentInferenceMachine
from learnedrecon.models.variational import VariationalNetwork
from learnedrecon.models.variational_flow import VariationalFlow
from learnedrecon.networks.unet import UNetSpec
from learnedrecon.solvers.normal import NormalSolver
from learnedrecon.training.losses import DeepSupervision
from studies.common.equal_budget import Scheme
from studies.common.trainings import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Mapping

_SOLVER = NormalSolver(tolerance=1e-3)
_SMALL_UNET = UNetSpec(base=8, depth=2, groups=0)
_FEW_WEIGHTS = (1e-2,)  # the rate of the equilibria, which have few weights, too
_SEEDS = 3

SCHEMES: Mapping[str, Scheme] = {
    "variational_network": Scheme(
        "variational network", VariationalNetwork(5), _FEW_WEIGHTS, seeds=_SEEDS
    ),
    "variational_flow": Scheme("variational flow", VariationalFlow(6), _FEW_WEIGHTS, seeds=_SEEDS),
    "learned_proximal": Scheme("learned proximal", LearnedProximal(8, HIDDEN), seeds=_SEEDS),
    "generalised_scheme": Scheme("generalised step", GeneralisedScheme(5, HIDDEN), seeds=_SEEDS),
    "learned_primal": Scheme("learned primal", LearnedPrimal(8, hidden=HIDDEN), seeds=_SEEDS),
    "learned_pdhg": Scheme("learned PDHG", LearnedPDHG(8, HIDDEN)),
    "learned_gradient": Scheme("learned gradient", LearnedGradient(10)),
    "learned_primal_dual": Scheme("LPD", LearnedPrimalDual(8, hidden=HIDDEN)),
    "modl": Scheme("MoDL", MoDL(5, data_step=_SOLVER, hidden=32)),
    "half_quadratic_splitting": Scheme(
        "half-quadratic splitting", HalfQuadraticSplitting(5, _SMALL_UNET, data_step=_SOLVER)
    ),
    "admm_net": Scheme("ADMM-Net", ADMMNet(5, data_step=_SOLVER), _FEW_WEIGHTS),
    "preconditioned_neumann": Scheme(
        "preconditioned Neumann", PreconditionedNeumannNetwork(4, data_step=_SOLVER)
    ),
    "recurrent_inference_machine": Scheme(
        "recurrent inference machine",
        RecurrentInferenceMachine(8, HIDDEN),
        loss=DeepSupervision(1.0),
    ),
    "post_processing": Scheme("FBP + U-Net", PostProcessing(UNetSpec(base=16, depth=3))),
}
"""By registered name, in the order in which they are trained."""
