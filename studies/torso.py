"""Claim: schemes that learn from one person reconstruct another one.

    python -m studies.torso            # studies/results/torso-*.json
    python -m studies.torso --more --only torso-NAME    # keep recorded seeds, add the others

CT of slices of 128² pixels of 3 mm: fan beam, 60 angles, 5·10⁴ photons. All that is chosen, the
weights and the weight of total variation, is chosen on one torso, from the shoulders to the
abdomen; the 20 slices of the test are of the abdomen of another person, on another scanner. Needs
torso_ct.h5 and abdomen_slices.h5, see docs/schemes.md.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import typer

from learnedrecon.models.generalised_scheme import GeneralisedScheme
from learnedrecon.models.learned_proximal import LearnedProximal
from learnedrecon.models.post_processing import PostProcessing
from learnedrecon.models.variational import VariationalNetwork
from learnedrecon.networks.unet import UNetSpec
from studies.baselines import classical
from studies.common.comparison import equal_budget
from studies.common.equal_budget import Scheme, classical_costs, trained_within
from studies.common.scans import TORSO
from studies.common.scores import machines
from studies.common.study import RESULTS, Study
from studies.common.torso import WATER
from studies.common.trainings import HIDDEN

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.harness.tables import Table
    from learnedrecon.schemes.reconstructor import Reconstructor

BUDGET = 240.0
SEEDS = 3


def _scheme(title: str, model: Reconstructor, rate: float = 3e-3) -> Scheme:
    return Scheme(title, model, (rate,), budget=BUDGET, seeds=SEEDS, scan=TORSO)


SCHEMES = {
    "learned_proximal": _scheme("learned proximal", LearnedProximal(8, HIDDEN, image_scale=WATER)),
    "variational_network": _scheme(
        "variational network", VariationalNetwork(5, image_scale=WATER), 1e-2
    ),
    "generalised_scheme": _scheme(
        "generalised step", GeneralisedScheme(5, HIDDEN, image_scale=WATER)
    ),
    "post_processing": _scheme(
        "FBP + U-Net", PostProcessing(UNetSpec(base=16, depth=3), image_scale=WATER)
    ),
}
PARTS = tuple(f"torso-{name}" for name in SCHEMES)


def page(results: Path = RESULTS) -> list[Table | str]:
    """The table of all methods on the other person."""
    return equal_budget(results, PARTS, "torso-classical")


def where(results: Path = RESULTS) -> str:
    """Where and how each of them was measured."""
    return machines(results, "torso", ("torso-baselines", "torso-classical", *PARTS))


STUDY = Study(
    "torso",
    "Schemes that learn from one person reconstruct another one.",
    "Total variation with a weight from the first person is better than every network on the "
    "second one, by 0.9 to 1.6 dB; all networks are under-trained. Learned proximal descent comes "
    "closest, with 16 calls of T and T* in place of 680.",
    {
        "torso-baselines": partial(classical, scans=(TORSO,)),
        "torso-classical": lambda _: classical_costs(TORSO),
        **{
            f"torso-{name}": partial(trained_within, f"torso-{name}", SCHEMES[name])
            for name in SCHEMES
        },
    },
    page,
)

if __name__ == "__main__":
    typer.run(STUDY.main)
