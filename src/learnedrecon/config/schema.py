"""The sections and keys of configuration files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import PlainSerializer, PlainValidator

from learnedrecon import specs
from learnedrecon.choices import require_choices
from learnedrecon.data.consistency import Mismatch
from learnedrecon.data.loader import refuse_workers
from learnedrecon.data.registry import DATASETS
from learnedrecon.data.sections import in_section, refuse_shared_images
from learnedrecon.data.simulate import Simulation
from learnedrecon.errors import ConfigError, describe
from learnedrecon.limits import MOST_DRAWS, refuse_count
from learnedrecon.metrics.ranges import parse_range
from learnedrecon.models.registry import MODELS
from learnedrecon.operators.base import Operator
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.schemes.reconstructor import Reconstructor
from learnedrecon.training.losses import LOSSES, SquaredError
from learnedrecon.training.spec import TrainingSpec
from learnedrecon.weights.checkpoint import FidelityName

if TYPE_CHECKING:
    from learnedrecon.data.seeds import Split
    from learnedrecon.registry import Registry


SPLITS: Final[tuple[Split, ...]] = ("train", "validation", "test")


def _parser(registry: Registry[Any], where: str) -> PlainValidator:
    def parse(value: Any) -> Any:  # noqa: ANN401 - whatever a file holds
        kinds = tuple(entry.spec for entry in registry.values())
        return value if isinstance(value, kinds) else specs.named_from_plain(registry, value, where)

    return PlainValidator(parse)


def _dumper(registry: Registry[Any]) -> PlainSerializer:
    def dump(spec: Any) -> dict[str, Any]:  # noqa: ANN401 - any registered spec
        return specs.named_to_plain(registry, spec)

    return PlainSerializer(dump)


OperatorSpec = Annotated[Any, _parser(OPERATORS, "operator"), _dumper(OPERATORS)]
"""The spec of an operator; files hold it with its ``name``."""

ModelSpec = Annotated[Any, _parser(MODELS, "model"), _dumper(MODELS)]
"""The spec of a method; files hold it with its ``name``."""

DatasetSpec = Annotated[Any, _parser(DATASETS, "data"), _dumper(DATASETS)]
"""The spec of a dataset; files hold it with its ``name``."""


def _optional(parse: PlainValidator) -> PlainValidator:
    def parse_some(value: Any) -> Any:  # noqa: ANN401 - whatever a file holds
        return None if value is None else parse.func(value)  # type: ignore[call-arg]

    return PlainValidator(parse_some)


def _dump_some(spec: Any) -> dict[str, Any] | None:  # noqa: ANN401 - any registered spec
    return None if spec is None else specs.named_to_plain(DATASETS, spec)


OptionalDatasetSpec = Annotated[
    Any, _optional(_parser(DATASETS, "data")), PlainSerializer(_dump_some)
]
"""The spec of a dataset, or None."""

LossSpec = Annotated[Any, _parser(LOSSES, "loss"), _dumper(LOSSES)]
"""A loss; files hold it with its ``name``."""


@dataclass(frozen=True)
class DataConfig:
    """The datasets of a run, and the simulation of measurements.

    Attributes:
        train: Dataset for the weights.
        validation: Dataset that selects the best weights and tunes classical methods.
        test: Dataset for the scores.
        simulation: Simulation of the data of images without data; None where all have data.
        workers: Number of processes that load samples; 0 loads them in the main process.
        draws: Number of random integers that every batch brings for schemes in random order; None
            for as many as the model asks for.
        mismatch: "refuse" or "warn": reaction of a training to measurements that are not T(truth)
            and are clearly something else, see :mod:`learnedrecon.data.consistency`.
        images: True images for the critic of adversarial training, of other samples than those of
            ``train``, whose true images are then not used; None for other trainings.

    Raises:
        ConfigError: Two of the sections share images, see
            :func:`learnedrecon.data.sections.share_images`.
    """

    train: DatasetSpec
    validation: DatasetSpec
    test: DatasetSpec
    simulation: Simulation | None = None
    workers: int = 0
    draws: int | None = None
    mismatch: Mismatch = "refuse"
    images: OptionalDatasetSpec = None

    def __post_init__(self) -> None:
        require_choices(self)
        if self.draws is not None and self.draws < 0:
            raise ConfigError(
                describe(
                    expected="'draws' of at least 0, or null",
                    found=f"{self.draws}",
                    fix="correct 'data.draws', or omit it",
                )
            )
        refuse_count(self.draws or 0, MOST_DRAWS, "random integers of a batch, 'data.draws'")
        refuse_workers(self.workers)
        for name in SPLITS:
            object.__setattr__(self, name, in_section(self.sections[name], name))
        if self.images is not None:
            object.__setattr__(self, "images", in_section(self.images, "train"))
        refuse_shared_images(self.sections)

    @property
    def sections(self) -> dict[str, Any]:
        """The records of the datasets by their splits."""
        found = {"train": self.train, "validation": self.validation, "test": self.test}
        return found if self.images is None else {**found, "images": self.images}


@dataclass(frozen=True)
class EvaluationConfig:
    """The scores of reconstructions.

    Attributes:
        range: Data range of PSNR and SSIM, "range=1" or "max-min".
        images: Largest number of test images.
        validation_images: Largest number of images in a validation.
        batch_size: Number of images in memory together.

    Raises:
        ConfigError: A number is below 1, or the range is unknown.
    """

    range: str = "max-min"
    images: int = 100
    validation_images: int = 20
    batch_size: int = 20

    def __post_init__(self) -> None:
        parse_range(self.range)
        if min(self.images, self.validation_images, self.batch_size) < 1:
            raise ConfigError(
                describe(
                    expected="images, validation_images and batch_size of at least 1",
                    found=f"{self.images}, {self.validation_images} and {self.batch_size}",
                    fix="correct 'evaluation'",
                )
            )


@dataclass(frozen=True)
class Config:
    """A whole run: operator, method, data, loss and training.

    Attributes:
        operator: Record of T, or T itself, which is replaced by its record.
        model: Record of the method, or the method itself, which is replaced by its record.
        data: Images and noise.
        fidelity: Name of the data term D(T(u); y), for methods that use its gradient.
        loss: Loss that training minimises.
        training: Specification of the training; not used by methods without weights.
        evaluation: Settings of the scores.
        imports: Modules that register your own models, operators, datasets, losses or noises, in
            the working folder or the environment.
    """

    operator: OperatorSpec
    model: ModelSpec
    data: DataConfig
    fidelity: FidelityName = "least_squares"
    loss: LossSpec = field(default_factory=SquaredError)
    training: TrainingSpec = field(default_factory=TrainingSpec)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    imports: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, kind in (("operator", Operator), ("model", Reconstructor)):
            given = getattr(self, name)
            if isinstance(given, kind):
                object.__setattr__(self, name, given.spec)
