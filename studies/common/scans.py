"""What is measured: 64² ellipses in sparse-view CT, in CT with 120 angles, blurred; a torso."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from learnedrecon.config.schema import Config, DataConfig, EvaluationConfig
from learnedrecon.data.datasets import EllipseSpec
from learnedrecon.data.noise import Gaussian, PoissonLog, RelativeGaussian
from learnedrecon.data.registry import DATASETS
from learnedrecon.data.simulate import Simulation
from learnedrecon.experiments.experiment import Experiment
from learnedrecon.operators.imaging import point_spread
from learnedrecon.operators.imaging.blur import PointSpread
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector, ParallelBeam
from studies.common.torso import NAME, PIXEL

if TYPE_CHECKING:
    from learnedrecon.data.seeds import Split
    from learnedrecon.training.spec import TrainingSpec

SIZE = 64
SPARSE, DENSE, BLUR, TORSO = "sparse-view CT", "CT", "deblurring", "torso CT"
ELLIPSES = (SPARSE, DENSE, BLUR)
TEXT = {
    SPARSE: "24 angles × 95 pixels, 2.5 % noise, simulated on 200²",
    DENSE: "120 angles × 95 pixels, 2.5 % noise, simulated on 200²",
    BLUR: "5 × 5 Gaussian blur with σ = 5, circular, noise of .01",
    TORSO: "fan beam, 60 angles × 200 pixels, 5·10⁴ photons, simulated on 256²",
}
TEST_IMAGES = 100
VALIDATION_IMAGES = 20


def operator_spec(scan: str) -> Any:  # noqa: ANN401 - of several kinds of operator
    """Of one of the four scans; that of the torso has lengths in mm."""
    if scan == TORSO:
        detector = FlatDetector(200, 4.5)
        return FanBeam((128, 128), AngleRange(60, arc=2 * math.pi), detector, 600.0, 400.0, PIXEL)
    if scan == BLUR:
        return PointSpread((SIZE, SIZE), point_spread.Gaussian(5.0, truncate=0.4))
    return ParallelBeam((SIZE, SIZE), AngleRange(120 if scan == DENSE else 24), FlatDetector(95))


def simulation(scan: str) -> Simulation:
    """How its data are made."""
    if scan == TORSO:
        return Simulation(PoissonLog(5e4), grid=(256, 256))
    if scan == BLUR:
        return Simulation(Gaussian(0.01))
    return Simulation(RelativeGaussian(0.025), grid=(200, 200))


def experiment(
    scan: str,
    model: Any,  # noqa: ANN401 - any registered spec
    training: TrainingSpec | None = None,
    images: int | None = None,
) -> Experiment:
    """A model on a scan.

    Args:
        scan: one of the four.
        model: a registered spec.
        training: how it is trained; None where it is not.
        images: of the training set of ellipses; None for as many as anyone draws.
    """

    def images_of(split: Split, length: int | None = None) -> Any:  # noqa: ANN401 - two datasets
        if scan == TORSO:
            return DATASETS[NAME].spec(split=split)
        plain = EllipseSpec("dival", SIZE, split)
        return plain if length is None else replace(plain, length=length)

    config = Config(
        operator=operator_spec(scan),
        model=model,
        data=DataConfig(
            images_of("train", images),
            images_of("validation"),
            images_of("test"),
            simulation(scan),
        ),
        evaluation=EvaluationConfig(
            images=TEST_IMAGES, validation_images=VALIDATION_IMAGES, batch_size=10
        ),
    )
    return Experiment(config if training is None else replace(config, training=training))
