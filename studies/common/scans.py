"""What is measured: 64² ellipses in sparse-view CT, in CT with 120 angles, and blurred."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from learnedrecon.config.schema import Config, DataConfig, EvaluationConfig
from learnedrecon.data.datasets import EllipseSpec
from learnedrecon.data.noise import Gaussian, RelativeGaussian
from learnedrecon.data.simulate import Simulation
from learnedrecon.experiments.experiment import Experiment
from learnedrecon.operators.imaging import point_spread
from learnedrecon.operators.imaging.blur import PointSpread
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam

if TYPE_CHECKING:
    from learnedrecon.data.seeds import Split
    from learnedrecon.training.spec import TrainingSpec

SIZE = 64
SPARSE, DENSE, BLUR = "sparse-view CT", "CT", "deblurring"
TEXT = {
    SPARSE: "24 angles × 95 pixels, 2.5 % noise, simulated on 200²",
    DENSE: "120 angles × 95 pixels, 2.5 % noise, simulated on 200²",
    BLUR: "5 × 5 Gaussian blur with σ = 5, circular, noise of .01",
}
TEST_IMAGES = 100
VALIDATION_IMAGES = 20


def operator_spec(scan: str) -> Any:  # noqa: ANN401 - of several kinds of operator
    """Of one of the three scans."""
    if scan == BLUR:
        return PointSpread((SIZE, SIZE), point_spread.Gaussian(5.0, truncate=0.4))
    return ParallelBeam((SIZE, SIZE), AngleRange(120 if scan == DENSE else 24), FlatDetector(95))


def simulation(scan: str) -> Simulation:
    """How its data are made."""
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
        scan: one of the three.
        model: a registered spec.
        training: how it is trained; None where it is not.
        images: of the training set; None for as many as anyone draws.
    """

    def ellipses(split: Split, length: int | None = None) -> EllipseSpec:
        plain = EllipseSpec("dival", SIZE, split)
        return plain if length is None else replace(plain, length=length)

    config = Config(
        operator=operator_spec(scan),
        model=model,
        data=DataConfig(
            ellipses("train", images),
            ellipses("validation"),
            ellipses("test"),
            simulation(scan),
        ),
        evaluation=EvaluationConfig(
            images=TEST_IMAGES, validation_images=VALIDATION_IMAGES, batch_size=10
        ),
    )
    return Experiment(config if training is None else replace(config, training=training))
