"""The trainings, each with its seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from learnedrecon.models.deep_gradient import DeepGradientDescent
from learnedrecon.models.equilibrium import EquilibriumGradient, PotentialLayers
from learnedrecon.models.generalised_scheme import GeneralisedScheme, StepInputs
from learnedrecon.models.invertible_primal_dual import InvertiblePrimalDual, SplitPrimalDual
from learnedrecon.models.learned_gradient import LearnedGradient
from learnedrecon.models.learned_primal import LearnedPrimal
from learnedrecon.models.learned_primal_dual import LearnedPrimalDual
from learnedrecon.models.learned_proximal import LearnedProximal
from learnedrecon.models.neumann import NeumannNetwork
from learnedrecon.models.subsets import SubsetPrimalDual, Subsets
from learnedrecon.training.spec import (
    CheckpointSpec,
    GreedySpec,
    OptimiserSpec,
    ScheduleSpec,
    TrainingSpec,
)
from studies.common.scans import BLUR, DENSE, SPARSE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from learnedrecon.models.generalised_scheme import InputName
    from learnedrecon.schemes.reconstructor import Reconstructor

HIDDEN = 16
NUMBERS_OF_SUBSETS = (1, 2, 4, 8)
GREEDY_IMAGES = 1000


@dataclass(frozen=True)
class Training:
    """One method on one scan.

    Attributes:
        title: in tables and figures.
        scan: what is measured.
        model: its spec.
        steps: of the optimiser, with one image each.
        rate: the largest learning rate.
        seeds: trainings that differ in the seed of weights and images alone.
        strategy: how it is trained.
        fine_tune: of ``steps``, those at the end of a greedy training that train all of the chain.
        images: of the training set; None for as many as steps, each seen once.
        curves: whether it is run for more iterations than it was trained for.
    """

    title: str
    scan: str
    model: Any
    steps: int
    rate: float = 3e-3
    seeds: int = 3
    strategy: Literal["greedy"] | None = None
    fine_tune: int = 0
    images: int | None = None
    curves: bool = False

    def spec(self, seed: int) -> TrainingSpec:
        """Of one seed."""
        greedy = self.strategy == "greedy"
        return TrainingSpec(
            steps=self.steps,
            optimiser=OptimiserSpec(learning_rate=self.rate, betas=(0.9, 0.99)),
            schedule=ScheduleSpec(warmup=0.03),
            validate_every=max(1, self.steps // 5),
            log_every=50,
            checkpoint=CheckpointSpec(every=500, seconds=60.0),
            seed=seed,
            strategy=self.strategy,
            greedy=GreedySpec(fine_tune=self.fine_tune) if greedy else None,
        )


def _certified(epsilon: float) -> Training:
    model = EquilibriumGradient(epsilon=epsilon).spec
    return Training(f"equilibrium, certified, ε = {epsilon}", SPARSE, model, 1500, 1e-2, seeds=1)


def _subsets(parts: int) -> Training:
    model = SubsetPrimalDual(iterations=8, hidden=HIDDEN, subsets=Subsets(parts)).spec
    return Training(f"LPD on 1/{parts} of the angles per step", DENSE, model, steps=3000)


def _inputs(text: str, *names: InputName) -> Training:
    """The generalised step with these inputs, data by T* alone, three seeds."""
    model = GeneralisedScheme(5, HIDDEN, inputs=StepInputs(names, "adjoint"))
    return Training(text, SPARSE, model.spec, 400)


def _relative(title: str, model: Reconstructor) -> Training:
    """One seed with the rate of learned primal-dual."""
    return Training(title, SPARSE, model.spec, 3000, seeds=1)


TRAININGS: Mapping[str, Training] = {
    "equilibrium": Training(
        "equilibrium, certified", SPARSE, EquilibriumGradient().spec, 1500, 1e-2, curves=True
    ),
    "equilibrium-free": Training(
        "equilibrium, without bound",
        SPARSE,
        EquilibriumGradient(network=PotentialLayers(bound="none")).spec,
        1500,
        5e-3,
        curves=True,
    ),
    "equilibrium-0.99": _certified(0.99),
    "equilibrium-0.9": _certified(0.9),
    "unrolled": Training(
        "unrolled, 10 steps", SPARSE, LearnedGradient(10).spec, 5000, 2e-3, seeds=1, curves=True
    ),
    "blur-equilibrium": Training(
        "equilibrium, certified", BLUR, EquilibriumGradient().spec, 1500, 1e-2, seeds=1, curves=True
    ),
    "blur-unrolled": Training(
        "unrolled, 10 steps",
        BLUR,
        LearnedGradient(10, start="adjoint").spec,
        5000,
        2e-3,
        seeds=1,
        curves=True,
    ),
    "lpd": Training("LPD", SPARSE, LearnedPrimalDual(iterations=8, hidden=HIDDEN).spec, 6000),
    "invertible": Training(
        "invertible LPD", SPARSE, InvertiblePrimalDual(iterations=8, hidden=HIDDEN).spec, 6000
    ),
    "split": Training("split LPD", SPARSE, SplitPrimalDual(iterations=8, hidden=HIDDEN).spec, 6000),
    "proximal": _relative("learned proximal", LearnedProximal(8, HIDDEN)),
    "primal": _relative("learned primal", LearnedPrimal(8, hidden=HIDDEN)),
    "neumann": _relative("Neumann network", NeumannNetwork(8)),
    "end-to-end": Training(
        "end to end", SPARSE, DeepGradientDescent(hidden=HIDDEN).spec, 6000, images=GREEDY_IMAGES
    ),
    "greedy": Training(
        "greedy",
        SPARSE,
        DeepGradientDescent(hidden=HIDDEN).spec,
        6000,
        strategy="greedy",
        fine_tune=1000,
        images=GREEDY_IMAGES,
    ),
    "inputs-u": _inputs("u", "image"),
    "inputs-back": _inputs("u, T*y", "image", "back"),
    "inputs-prediction": _inputs("u, T*Tu", "image", "prediction"),
    "inputs-regulariser": _inputs("u, ∇R", "image", "regulariser"),
    "inputs-gradients": _inputs("u, T*y, T*Tu", "image", "back", "prediction"),
    "inputs-all": _inputs("u, T*y, T*Tu, ∇R", "image", "back", "prediction", "regulariser"),
    "inputs-without-u": _inputs("T*y, T*Tu, ∇R", "back", "prediction", "regulariser"),
    **{f"subsets-{parts}": _subsets(parts) for parts in NUMBERS_OF_SUBSETS},
}
