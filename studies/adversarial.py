"""Claim: without pairs, a network trained against a critic lies between TV and its twin on pairs.

    python -m studies.adversarial        # studies/results/adversarial*.json

The problem of studies.schemes. One unrolled network, learned proximal descent of four steps, is
trained twice with the same CPU time: on pairs with the squared error, and against a critic on
measurements of some phantoms and true images of others (Mukherjee et al., NeurIPS 2021). The weight
of the critic is that of several pilots whose data term is nearest to the variance of the noise. The
best weights of both are chosen on validation images, the only pairs of the second training.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import typer

from learnedrecon.models.learned_proximal import LearnedProximal
from learnedrecon.training.spec import AdversarialSpec
from studies.common.comparison import equal_budget
from studies.common.equal_budget import Scheme, trained_within
from studies.common.scores import machines
from studies.common.study import RESULTS, Study
from studies.common.trainings import HIDDEN

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.harness.tables import Table
    from learnedrecon.experiments.experiment import Experiment

BUDGET = 240.0
ITERATIONS = 4
AVERAGE, WEIGHT = 0.99, 0.05
OTHERS = 1
"""The seed of the phantoms that the critic sees."""


@dataclass(frozen=True)
class Unpaired(Scheme):
    """A scheme that is trained against a critic.

    Attributes:
        options: Of the critic.
    """

    options: AdversarialSpec = field(default_factory=AdversarialSpec)

    def experiment(self, steps: int, rate: float, seed: int = 0) -> Experiment:
        """With true images of other phantoms than those that are measured."""
        whole = super().experiment(steps, rate, seed)
        config = whole.config
        training = replace(
            config.training, strategy="adversarial", adversarial=self.options, average=AVERAGE
        )
        data = replace(config.data, images=replace(config.data.train, seed=OTHERS))
        return replace(whole, config=replace(config, training=training, data=data))


SCHEMES = {
    "adversarial": Unpaired(
        "without pairs, against a critic",
        LearnedProximal(ITERATIONS, HIDDEN),
        budget=BUDGET,
        options=AdversarialSpec(weight=WEIGHT),
    ),
    "adversarial-supervised": Scheme(
        "on pairs", LearnedProximal(ITERATIONS, HIDDEN), budget=BUDGET
    ),
}


def page(results: Path = RESULTS) -> list[Table | str]:
    """FBP, total variation, and both trainings."""
    return equal_budget(results, tuple(SCHEMES), least=0.0)


def where(results: Path = RESULTS) -> str:
    """Where and how each of them was measured."""
    return machines(results, "adversarial", tuple(SCHEMES))


STUDY = Study(
    "adversarial",
    "Trained without pairs, against a critic, a network lies between total variation and the same "
    "network trained on pairs.",
    "Not yet: against a critic it is 1.5 dB above the filtered back-projection that it starts "
    "from, and 2.3 dB below total variation; on pairs the same network is 0.5 dB above it. A step "
    "against the critic costs more than twice as much, and the training is short.",
    {name: partial(trained_within, name, scheme) for name, scheme in SCHEMES.items()},
    page,
)

if __name__ == "__main__":
    typer.run(STUDY.main)
