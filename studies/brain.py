"""Claim: networks that see the measurement reconstruct undersampled MRI better than tuned wavelets.

    python -m studies.brain            # studies/results/brain-*.json

Slices of the ICBM152 brain, 112 × 96 pixels of 2 mm, eight simulated coils; random and equispaced
lines, 4 and 8 times fewer. All trainings have the same CPU time of one core and see all four kinds
of undersampling; the test is on a part of the brain that no training has seen. Simulated raw data
flatter a method. Weights without training are tuned for each kind on validation slices.

    python -m studies.brain --only brain-measured --runs FOLDER    # ../shared/data/brain_kspace.npy
    python -m studies.brain --only brain-figure --runs FOLDER

Both need the weights of the trainings, in the folder that these were given by --runs.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import typer

from benchmarks.harness.tables import table
from learnedrecon.models.admm_net import ADMMNet
from learnedrecon.models.end_to_end_variational import EndToEndVariationalNetwork
from learnedrecon.models.equilibrium import EquilibriumGradient, FixedPointSolver
from learnedrecon.models.learned_primal_dual import LearnedPrimalDual
from learnedrecon.models.learned_proximal import LearnedProximal
from learnedrecon.models.modl import MoDL
from learnedrecon.models.post_processing import PostProcessing
from learnedrecon.models.recurrent import RecurrentInferenceMachine
from learnedrecon.models.variational import VariationalNetwork
from learnedrecon.networks.experts import Experts
from learnedrecon.networks.unet import UNetSpec
from learnedrecon.solvers.normal import NormalSolver
from learnedrecon.training.losses import DeepSupervision, SmoothedModulus, SquaredError
from studies.common.brain_baselines import BASELINES, without_training
from studies.common.brain_pictures import with_weights
from studies.common.brain_tables import compared
from studies.common.equal_budget import Scheme, trained_within
from studies.common.scans import BRAIN
from studies.common.scores import machines
from studies.common.study import RESULTS, Study, not_measured, read

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.harness.tables import Cell, Table
    from learnedrecon.schemes.reconstructor import Reconstructor
    from learnedrecon.training.losses import Loss

BUDGET = 240.0
_LOSS = SquaredError()
_FIXED = FixedPointSolver(1e-4, 100, backward_tolerance=3e-2)
_SOLVER = NormalSolver(1e-3, 30)


def _scheme(title: str, model: Reconstructor, rate: float, loss: Loss = _LOSS) -> Scheme:
    return Scheme(title, model, (rate,), loss=loss, budget=BUDGET, scan=BRAIN)


SCHEMES = {
    "post_processing": _scheme(
        "zero-filled + U-Net", PostProcessing(UNetSpec(base=16, depth=3)), 1e-3
    ),
    "learned_proximal": _scheme("learned proximal", LearnedProximal(6, 24), 3e-3),
    "variational_network": _scheme(
        "variational network", VariationalNetwork(6, Experts(filters=24, kernel=7)), 1e-2
    ),
    "modl": _scheme("MoDL", MoDL(4, 5, 32, data_step=_SOLVER), 3e-3),
    "recurrent_inference_machine": _scheme(
        "recurrent inference machine",
        RecurrentInferenceMachine(6, 16),
        3e-3,
        DeepSupervision(1.0),
    ),
    "learned_primal_dual": _scheme(
        "learned primal-dual", LearnedPrimalDual(4, 3, 2, 16, start="adjoint"), 3e-3
    ),
    "admm_net": _scheme("ADMM-Net", ADMMNet(6, data_step=_SOLVER), 1e-2),
    "end_to_end_variational": _scheme(
        "end-to-end variational network",
        EndToEndVariationalNetwork(5, UNetSpec(base=8, depth=2), maps=UNetSpec(base=8, depth=2)),
        3e-3,
        SmoothedModulus(),
    ),
    "equilibrium_gradient": _scheme(
        "deep equilibrium, certified", EquilibriumGradient(solver=_FIXED), 1e-2
    ),
}
PARTS = tuple(f"brain-{name}" for name in SCHEMES)
PLAIN = tuple(f"brain-{name}" for name in BASELINES)


def page(results: Path = RESULTS) -> list[Table | str]:
    """The table of all methods for each kind of mask."""
    return compared(results, PLAIN, PARTS) or [f"{not_measured('brain', *PLAIN, *PARTS)}\n"]


def met(results: Path = RESULTS) -> str:
    """The table of the trained networks on the measured brain."""
    found = read(results, "brain-measured")
    if found is None:
        return f"{not_measured('brain', 'brain-measured')}\n"
    rows = sorted(found["methods"].values(), key=lambda row: row["held_out_residual"])
    columns: dict[str, Cell] = {
        "method": "title",
        "held-out residual": lambda row: f"{row['held_out_residual']:.3f}",
    }
    return table(rows, columns).markdown()


def picture(results: Path = RESULTS) -> str:
    """The figure on a page, once it is drawn."""
    if read(results, "brain-figure") is None:
        return f"{not_measured('brain', 'brain-figure')}\n"
    return (
        "![A slice of the test, equispaced lines, 8 times fewer: magnitudes, and errors below]"
        "(figures/brain-mri.png)\n"
    )


def where(results: Path = RESULTS) -> str:
    """Where and how each of them was measured."""
    return f"{machines(results, 'brain', (*PLAIN, *PARTS)).rstrip()}\n"


STUDY = Study(
    "brain",
    "Networks that see the measurement reconstruct undersampled MRI better than tuned wavelets.",
    "After four minutes of one core six of nine networks are above tuned wavelet-SENSE, by 2 to 4 "
    "dB; learned primal-dual, the U-Net and the recurrent network are not. Tuned TV-SENSE is above "
    "all of them by 2.6 dB or more, on a smooth template. Simulated raw "
    "data of one brain flatter all methods.",
    {
        **{
            f"brain-{name}": partial(without_training, name, baseline)
            for name, baseline in BASELINES.items()
        },
        **{
            f"brain-{name}": partial(trained_within, f"brain-{name}", scheme)
            for name, scheme in SCHEMES.items()
        },
        **with_weights(PARTS),
    },
    page,
    recorded="brain-*.json",
)

if __name__ == "__main__":
    typer.run(STUDY.main)
