"""What is measured: 64² ellipses in CT with 24 and 120 angles, blurred; a torso; a brain."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from learnedrecon.config.schema import Config, DataConfig, EvaluationConfig
from learnedrecon.data.datasets import EllipseSpec
from learnedrecon.data.noise import Gaussian, PoissonLog, RelativeGaussian
from learnedrecon.data.registry import DATASETS
from learnedrecon.data.seeds import Split
from learnedrecon.data.simulate import Simulation
from learnedrecon.experiments.experiment import Experiment
from learnedrecon.operators.imaging import point_spread
from learnedrecon.operators.imaging.blur import PointSpread
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector, ParallelBeam
from studies.common import brain, torso

if TYPE_CHECKING:
    from learnedrecon.training.spec import TrainingSpec

SIZE = 64
SPARSE, DENSE, BLUR, TORSO = "sparse-view CT", "CT", "deblurring", "torso CT"
BRAIN = "brain MRI"
ELLIPSES = (SPARSE, DENSE, BLUR)
TEXT = {
    SPARSE: "24 angles × 95 pixels, 2.5 % noise, simulated on 200²",
    DENSE: "120 angles × 95 pixels, 2.5 % noise, simulated on 200²",
    BLUR: "5 × 5 Gaussian blur with σ = 5, circular, noise of .01",
    TORSO: "fan beam, 60 angles × 200 pixels, 5·10⁴ photons, simulated on 256²",
    BRAIN: "112 × 96 pixels of 2 mm, 8 coils, random and equispaced lines, 4 and 8 times",
}
TEST_IMAGES = 100
VALIDATION_IMAGES = 20
BRAIN_TESTS = 80


@dataclass(frozen=True)
class Setting:
    """What is measured, of which images.

    Attributes:
        operator: The spec of the operator; lengths of the torso are in mm.
        images: The spec of the images of a split, and of a training set of so many.
        simulation: How data are made; None where the images bring their own.
        test_images: Number of images in a test.
        batch: Number of images that are reconstructed together in a test.
    """

    operator: Any
    images: Callable[[Split, int | None], Any]
    simulation: Simulation | None
    test_images: int = TEST_IMAGES
    batch: int = 10


def _ellipses(split: Split, length: int | None) -> EllipseSpec:
    plain = EllipseSpec("dival", SIZE, split)
    return plain if length is None else replace(plain, length=length)


def _slices(name: str, kind: str | None = None) -> Callable[[Split, int | None], Any]:
    """Images of a dataset of the studies."""
    own = {} if kind is None else {"kind": kind}
    return lambda split, _: DATASETS[name].spec(split=split, **own)


def _ct(angles: int) -> Setting:
    detector = FlatDetector(95)
    operator = ParallelBeam((SIZE, SIZE), AngleRange(angles), detector)
    return Setting(operator, _ellipses, Simulation(RelativeGaussian(0.025), grid=(200, 200)))


def _brain(kind: str | None = None) -> Setting:
    images = BRAIN_TESTS if kind is None else BRAIN_TESTS // len(brain.MASKS)
    return Setting(brain.OPERATOR, _slices(brain.NAME, kind), None, images, batch=1)


SETTINGS: Mapping[str, Setting] = {
    SPARSE: _ct(24),
    DENSE: _ct(120),
    BLUR: Setting(
        PointSpread((SIZE, SIZE), point_spread.Gaussian(5.0, truncate=0.4)),
        _ellipses,
        Simulation(Gaussian(0.01)),
    ),
    TORSO: Setting(
        FanBeam(
            (128, 128),
            AngleRange(60, arc=2 * math.pi),
            FlatDetector(200, 4.5),
            600.0,
            400.0,
            torso.PIXEL,
        ),
        _slices(torso.NAME),
        Simulation(PoissonLog(5e4), grid=(256, 256)),
    ),
    BRAIN: _brain(),
    **{f"{BRAIN}, {kind}": _brain(kind) for kind in brain.MASKS},
}


def experiment(
    scan: str,
    model: Any,  # noqa: ANN401 - any registered spec
    training: TrainingSpec | None = None,
    images: int | None = None,
) -> Experiment:
    """A model on a scan.

    Args:
        scan: one of :data:`SETTINGS`.
        model: a registered spec.
        training: how it is trained; None where it is not.
        images: of the training set of ellipses; None for as many as anyone draws.
    """
    setting = SETTINGS[scan]
    config = Config(
        operator=setting.operator,
        model=model,
        data=DataConfig(
            setting.images("train", images),
            setting.images("validation", None),
            setting.images("test", None),
            setting.simulation,
        ),
        evaluation=EvaluationConfig(
            images=setting.test_images,
            validation_images=VALIDATION_IMAGES,
            batch_size=setting.batch,
        ),
    )
    return Experiment(config if training is None else replace(config, training=training))
