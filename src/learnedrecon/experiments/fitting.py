"""Training of any method on any data in one call."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from learnedrecon.allocation import kept_memory
from learnedrecon.config.schema import SPLITS, DataConfig, EvaluationConfig
from learnedrecon.data.noise import NoNoise
from learnedrecon.errors import ConfigError, DataError, describe
from learnedrecon.evaluation.scores import Scores, evaluate
from learnedrecon.experiments.agreement import require_agreement
from learnedrecon.experiments.experiment import FIDELITIES
from learnedrecon.experiments.given import GivenMaterial, Settings
from learnedrecon.experiments.progress import training_loggers
from learnedrecon.experiments.records import require_rebuilt
from learnedrecon.experiments.training import (
    BestValidation,
    Job,
    look_at_data,
    refuse_without_weights,
)
from learnedrecon.models.registry import MODELS
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.schemes.reconstructor import Reconstructor
from learnedrecon.specs import named_to_plain, to_plain
from learnedrecon.training.accelerator import choose_device, make_accelerator
from learnedrecon.training.losses import LOSSES, SquaredError
from learnedrecon.training.run import RunFolder
from learnedrecon.training.spec import TrainingSpec
from learnedrecon.weights.checkpoint import MODEL, Blueprint, FidelityName, load_state
from learnedrecon.weights.tensorfile import read_tensors, without_prefix

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from torch import nn

    from learnedrecon.data.consistency import Mismatch
    from learnedrecon.data.noise import Noise
    from learnedrecon.data.simulate import Simulation
    from learnedrecon.experiments.progress import Progress
    from learnedrecon.operators.base import Operator
    from learnedrecon.training.losses import Loss

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class FitResult:
    """The result of :func:`fit`.

    Attributes:
        model: Given model with its best weights, in evaluation mode.
        step: Number of optimiser steps.
        best: Best validation, or None without validations.
        interrupted: True if the training was stopped before its last step.
        records: Losses, learning rates and validations, as in ``metrics.jsonl``.
        scores: Scores on the test images; None without test images, or after an interruption.
        folder: Path of the run folder, or None.
    """

    model: Reconstructor
    step: int
    best: BestValidation | None
    interrupted: bool
    records: tuple[dict[str, Any], ...]
    scores: Scores | None
    folder: Path | None


@kept_memory()
def fit(  # noqa: PLR0913 - the keywords of one call
    model: Reconstructor,
    data: Any = None,  # noqa: ANN401 - one of many kinds
    *,
    operator: Operator,
    noise: Noise | Simulation | None = None,
    loss: Loss | None = None,
    training: TrainingSpec | None = None,
    steps: int | None = None,
    evaluation: EvaluationConfig | None = None,
    fidelity: FidelityName = "least_squares",
    validate: Callable[[nn.Module], Mapping[str, float]] | None = None,
    folder: str | os.PathLike[str] | None = None,
    mismatch: Mismatch = "refuse",
    device: str = "auto",
    progress: Progress | bool = True,
) -> FitResult:
    """Trains a method, keeps its best weights, and scores it on test images.

    ``data`` is one of

    - true images, a tensor or array (number, [channel,] *domain), measured by T with noise; - a
    tuple (measurements, truths) or (measurements, truths, labels) of such; - a dataset, its record,
    or its name such as "ellipses"; None stands for random ellipses of the
      size of the images;
    - a mapping from "train", "validation" and "test" to one of these each.

    Tensors and datasets without splits are divided by a hash of the index: four fifths for
    training, a tenth for validation and a tenth for the test.

    Args:
        model: Method, trained in place.
        data: Data in one of the forms above.
        operator: T.
        noise: Noise model, or the whole simulation of measurements; no noise unless given.
        loss: Loss (estimate, batch) → (batch,); the mean squared error unless given.
        training: Specification of the training; the defaults unless given.
        steps: Number of optimiser steps, in place of that of ``training``.
        evaluation: Data range, and numbers of images of validation and test.
        fidelity: Name of the data term whose gradient the method uses.
        validate: Function from the model to numbers, one of which selects the best weights; the
            mean PSNR on the validation images unless given.
        folder: Run folder to write, which ``learnedrecon evaluate`` and other commands accept, and
            from which the same call continues after an interruption; None writes nothing.
        mismatch: "refuse" or "warn": reaction to measurements that are not T(truth) and are clearly
            something else, see :mod:`learnedrecon.data.consistency`.
        device: "auto", "cpu" or "cuda".
        progress: Callback that is told the steps, or True for a progress bar.

    Raises:
        ConfigError: The method has no weights, the data are of an unknown kind, a value is wrong,
            or the folder contains a finished or different run.
        ShapeError: Data do not fit the operator.
        DataError: There are too few samples, measurements are not T(truth), or a loss is not
            finite.
    """
    refuse_without_weights(model, None)
    optimisation = training or TrainingSpec()
    if steps is not None:
        every = min(optimisation.validate_every, steps)
        optimisation = replace(optimisation, steps=steps, validate_every=every)
    where = choose_device(device)
    accelerator = make_accelerator(optimisation.precision, cpu=where.type == "cpu")
    material = GivenMaterial(
        data,
        operator,
        noise=NoNoise() if noise is None else noise,
        settings=Settings(optimisation, evaluation or EvaluationConfig(), mismatch),
        fidelity=FIDELITIES[fidelity](),
        draws=model.draws,
        device=accelerator.device,
    )
    look_at_data(material)
    require_agreement(material, model)
    minimised = SquaredError() if loss is None else loss
    blueprint = _blueprint(model, operator, fidelity, kept=folder is not None)
    if folder is not None:
        require_rebuilt(blueprint, model)
    job = Job(model, material, minimised, accelerator, validate=validate)
    with ExitStack() as stack:
        target = Path(stack.enter_context(TemporaryDirectory()) if folder is None else folder)
        strategy = job.strategy(target)
        plain = _configuration(material, minimised, blueprint)
        run = RunFolder.start(target, config=plain, blueprint=blueprint)
        done = job.run(strategy, run, training_loggers(progress))
        if run.checkpoints.best.exists():
            tensors, _ = read_tensors(run.checkpoints.best)
            load_state(run.checkpoints.best, model, without_prefix(MODEL, tensors))
    model.eval()
    scores = None if done.interrupted else _scores(model, material)
    kept = None if folder is None else Path(folder)
    return FitResult(model, done.step, done.best, done.interrupted, done.records, scores, kept)


def _blueprint(
    model: Reconstructor, operator: Operator, fidelity: FidelityName, *, kept: bool
) -> Blueprint:
    """From what the model can be built again, as far as its class and T are registered."""
    if model.spec is None or MODELS.name_of(model.spec) is None:
        if kept:
            raise ConfigError(
                describe(
                    expected="a method of a registered class, which a run folder can name",
                    found=type(model).__name__,
                    fix="register the class, @learnedrecon.register('my_name'), or omit the folder",
                )
            )
        return Blueprint({"name": type(model).__qualname__}, None, fidelity)
    known = operator.spec is not None and OPERATORS.name_of(operator.spec) is not None
    if kept and not known:
        _LOG.warning(
            "%s has no registered record: the run is kept without its operator, which has to be "
            "given again to reconstruct.",
            type(operator).__name__,
        )
    return Blueprint.of(model.spec, operator.spec if known else None, fidelity=fidelity)


def _configuration(material: GivenMaterial, loss: Loss, blueprint: Blueprint) -> dict[str, Any]:
    """The content of ``config.yaml``: all values, or the known ones of arguments in Python."""
    content = {
        **{name: asdict(blueprint)[name] for name in ("operator", "model", "fidelity")},
        "training": to_plain(material.training),
        "evaluation": to_plain(material.evaluation),
        "imports": sorted(set(blueprint.modules.values())),
    }
    records, known = material.records, LOSSES.name_of(loss) is not None
    if records is None or len(records) < len(SPLITS) or not known:
        return content
    data = DataConfig(**records, simulation=material.simulation, mismatch=material.mismatch)
    return {**content, "data": to_plain(data), "loss": named_to_plain(LOSSES, loss)}


def _scores(model: Reconstructor, material: GivenMaterial) -> Scores | None:
    try:
        material.dataset("test")
    except DataError:
        return None
    return evaluate(type(model).__name__, model, material.batches("test"), material.data_range)
