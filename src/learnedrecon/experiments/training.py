"""Training: from a configuration, or of any method with any data."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from accelerate import Accelerator

from learnedrecon.allocation import kept_memory
from learnedrecon.config.schema import Config
from learnedrecon.config.yaml_file import read_config
from learnedrecon.errors import ConfigError, DataError, describe
from learnedrecon.evaluation.curves import best_step, draw_training
from learnedrecon.experiments.agreement import require_agreement
from learnedrecon.experiments.experiment import Experiment
from learnedrecon.experiments.material import Material
from learnedrecon.experiments.progress import training_loggers
from learnedrecon.experiments.records import require_rebuilt
from learnedrecon.experiments.strategy import Strategy
from learnedrecon.models.registry import MODELS
from learnedrecon.schemes.differentiation import set_backward
from learnedrecon.schemes.reconstructor import Reconstructor
from learnedrecon.specs import named_to_plain, to_plain
from learnedrecon.training.accelerator import choose_device, make_accelerator
from learnedrecon.training.loggers import TensorBoard
from learnedrecon.training.loop import train as train_loop
from learnedrecon.training.losses import Loss
from learnedrecon.training.run import RunFolder, differences
from learnedrecon.weights.checkpoint import load_weights

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from torch import nn

    from learnedrecon.experiments.progress import Progress
    from learnedrecon.training.loggers import Logger

    Validate = Callable[[nn.Module], Mapping[str, float]]

_LOG = logging.getLogger(__name__)

_ENDLESS = 10**8


class BestValidation(NamedTuple):
    """The validation that selected the weights.

    Attributes:
        step: Number of optimiser steps before it.
        value: Value of its number, such as the PSNR in dB.
        metric: Name of the number.
    """

    step: int
    value: float
    metric: str = "psnr"

    def __str__(self) -> str:
        """The number and the step in words."""
        number = (
            f"{self.value:.2f} dB" if self.metric == "psnr" else f"{self.metric} {self.value:.4g}"
        )
        return f"{number} after step {self.step}"


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """The result of a training.

    Attributes:
        folder: Path of the run folder.
        step: Number of optimiser steps in all.
        best: Best validation, or None without validations.
        interrupted: True if the training was stopped before its last step; it is saved.
        records: Records of ``metrics.jsonl``.
    """

    folder: Path
    step: int
    best: BestValidation | None
    interrupted: bool
    records: tuple[dict[str, Any], ...]


@dataclass(frozen=True, eq=False)
class Job:
    """A training that is ready to start, from a configuration or from :func:`learnedrecon.fit`.

    Attributes:
        model: Model that is trained in place.
        material: Data and specification of the training.
        loss: Loss to minimise.
        accelerator: Device, precision and processes.
        identity: Text that identifies everything the cache of a greedy training depends on.
        validate: Function from the model to numbers; the mean PSNR if None.
    """

    model: Reconstructor
    material: Material
    loss: Loss
    accelerator: Accelerator
    identity: str = ""
    validate: Validate | None = None

    def strategy(self, folder: Path) -> Strategy:
        """The strategy of the training.

        Args:
            folder: Path of the run folder.

        Raises:
            ConfigError: The model cannot be trained in this way.
        """
        spec = self.material.training
        set_backward(self.model, spec.backward, spec.checkpoint_every)
        return Strategy.of(
            self.material,
            self.model,
            self.loss,
            self.accelerator,
            cache=folder / "cache",
            identity=self.identity,
            validate=self.validate,
        )

    def run(self, strategy: Strategy, run: RunFolder, loggers: Sequence[Logger]) -> TrainedRun:
        """Trains, and draws the curves into the run folder.

        Args:
            strategy: Result of :meth:`strategy`.
            run: Run folder, which has been started.
            loggers: Loggers in addition to ``metrics.jsonl``.
        """
        spec = self.material.training
        try:
            result = train_loop(
                model=self.model,
                source=strategy.source,
                update=strategy.update,
                run=run,
                spec=spec,
                validate=strategy.validate,
                loggers=loggers,
            )
        except KeyboardInterrupt:
            _LOG.warning(on_disk_text(run))
            raise
        records = tuple(run.metrics.read())
        if self.accelerator.is_main_process:
            draw_training(records, run.figures / "training.png", best=spec.best)
        if not result.interrupted:
            strategy.close()
        found = best_step(records, spec.best.metric, spec.best.mode)
        best = None if found is None else BestValidation(*found, spec.best.metric)
        return TrainedRun(run.path, result.step, best, result.interrupted, records)


@kept_memory()
def train(  # noqa: PLR0913 - the keywords of one call
    config: Config | str | os.PathLike[str],
    folder: str | os.PathLike[str] | None = None,
    *,
    overrides: Sequence[str] = (),
    resume: bool | None = None,
    weights: str | os.PathLike[str] | None = None,
    device: str = "auto",
    tensorboard: bool = False,
    progress: Progress | bool = True,
) -> TrainedRun:
    """Trains the method of a configuration, in a run folder.

    At ctrl-C or SIGTERM the present step is finished, the run saved, and the function returns; the
    same call continues from there.

    Args:
        config: Configuration, or path of one in YAML.
        folder: Path of the run folder; ``runs/NAME`` for a file NAME.yaml unless given.
        overrides: Texts ``a.b=c`` that override values of a configuration in a file.
        resume: True to continue an existing run only, False to start again; None continues a run
            that was interrupted.
        weights: Run folder or weights file of the same model with the initial weights.
        device: "auto", "cpu" or "cuda".
        tensorboard: True to log also to TensorBoard, in the folder ``tensorboard`` of the run.
        progress: Callback that is told the steps, or True for a progress bar.

    Raises:
        ConfigError: The configuration is invalid, the method has no weights, or the folder contains
            a finished or different run.
        DataError: There are no data, they are not T(truth), or a loss is not finite.
        FileFormatError: A file is broken.
        MissingExtraError: TensorBoard is asked for and not installed.
    """
    file = None if isinstance(config, Config) else Path(config)
    settings = config if isinstance(config, Config) else read_config(config, overrides)
    target = _folder(folder, file)
    refuse_own_config(file, target, resume=resume)
    accelerator = make_accelerator(
        settings.training.precision, cpu=choose_device(device).type == "cpu"
    )
    experiment = Experiment(settings, accelerator.device)
    model = experiment.model()
    refuse_without_weights(model, file)
    require_rebuilt(experiment.blueprint, model)
    if weights is not None:
        begin_with(Path(weights), model)
    look_at_data(experiment)
    require_agreement(experiment, model)
    plain = to_plain(settings)
    identity = json.dumps({name: plain[name] for name in ("operator", "model", "data")})
    job = Job(model, experiment, settings.loss, accelerator, identity)
    strategy = job.strategy(target)
    require_run(target, resume=resume)
    extra = [TensorBoard(target / "tensorboard")] if tensorboard else []
    run = RunFolder.start(
        target,
        config=plain,
        blueprint=experiment.blueprint,
        overwrite=resume is False,
        exclusive=accelerator.is_main_process,
    )
    done = run.checkpoints.progress()
    begun = 0 if done is None else done.step
    _LOG.info(f"{begin_text(experiment, begun)} {target}. Ctrl-C saves and stops.")
    if begun and weights is not None:
        _LOG.info(f"The run goes on from its own weights; {weights} was for its beginning.")
    return job.run(strategy, run, [*training_loggers(progress), *extra])


def begin_text(experiment: Experiment, begun: int) -> str:
    """A description of the training that starts.

    Args:
        experiment: Experiment.
        begun: Number of steps already done.
    """
    name = experiment.blueprint.model["name"]
    steps = experiment.config.training.steps
    where = f"on {experiment.device}"
    if begun:
        return f"Going on with {name} {where}, after step {begun} of {steps}, in"
    return f"Training {name} {where} for {steps} steps in"


def on_disk_text(run: RunFolder) -> str:
    """A description of what an interrupted run has saved, and of how to continue.

    Args:
        run: Run folder.
    """
    progress = run.checkpoints.progress()
    if progress is None:
        return f"Stopped at once. {run.path} has no checkpoint yet: the same command starts again."
    return (
        f"Stopped at once. {run.path} has the state after step {progress.step}: the same command "
        "goes on there."
    )


def begin_with(path: Path, model: Reconstructor) -> None:
    """Loads weights of another training into a model.

    Args:
        path: Path of a run folder or a weights file.
        model: Model, changed in place.

    Raises:
        FileFormatError: There are no weights, or they are broken.
        ConfigError: The weights are of another model.
    """
    loaded = load_weights(path)
    asked, saved = (named_to_plain(MODELS, each) for each in (model.spec, loaded.model.spec))
    if found := differences(asked, saved, "model"):
        raise ConfigError(
            describe(
                expected=f"weights of the model of the configuration in {path}",
                found="; ".join(f"{where} {two!r} for {one!r}" for where, one, two in found[:3]),
                fix="give the configuration the same 'model', or omit --weights",
            )
        )
    model.load_state_dict(loaded.model.state_dict())
    _LOG.info(f"Beginning with the weights of {path}.")


def refuse_without_weights(model: Reconstructor, config: Path | None) -> None:
    """Check that a method has parameters to train.

    Args:
        model: Method.
        config: Path of the configuration, for the message.

    Raises:
        ConfigError: The method has no parameters.
    """
    if not any(True for _ in model.parameters()):
        where = "a configuration" if config is None else str(config)
        raise ConfigError(
            describe(
                expected="a method with weights to train",
                found=f"a method without weights in {where}",
                fix=f"score it with 'learnedrecon evaluate {where} --set model.KEY=VALUE', or let "
                "'learnedrecon compare RUN fbp tv' tune it on the validation images of a run",
            )
        )


def look_at_data(material: Material) -> None:
    """A small batch of each kind, so that errors in data appear before the training.

    Args:
        material: Data and specification of the training.

    Raises:
        DataError: There are no data, or they cannot be simulated.
        ShapeError: Data do not fit the operator.
    """
    train_set = material.dataset("train")
    material.builder([train_set[train_set.buckets()[0][0]]])
    next(material.batches("validation", 1))
    counts = {"to train": len(train_set), "to validate": len(material.dataset("validation"))}
    try:
        counts["to test"] = len(material.dataset("test"))
    except DataError as error:
        _LOG.warning(f"WARNING: nothing to test on; 'evaluate' and 'compare' will fail. {error}")
    if min(counts.values()) < _ENDLESS:
        words = (f"{_number(number)} {what}" for what, number in counts.items())
        _LOG.info(f"Images: {', '.join(words)}.")


def _number(images: int) -> str:
    """A number as text; none for a set that draws its images as they are needed."""
    return str(images) if images < _ENDLESS else "any number"


def refuse_own_config(config: Path | None, folder: Path, *, resume: bool | None) -> None:
    """Check that a new start does not overwrite its own configuration in the run folder.

    A run writes its configuration there, with all values and without comments.

    Args:
        config: Path of the configuration, or None.
        folder: Path of the run folder.
        resume: False for a new start.

    Raises:
        ConfigError: ``resume`` is false, and the configuration is that of the folder.
    """
    written = folder / "config.yaml"
    if resume is False and config is not None and written.exists() and written.samefile(config):
        raise ConfigError(
            describe(
                expected=f"a configuration that the run in {folder} does not overwrite",
                found=f"{config}, to which the run writes its own",
                fix="name another folder with -o, or copy the configuration to another place",
            )
        )


def require_run(folder: Path, *, resume: bool | None) -> None:
    """Check that there is a run to continue.

    Args:
        folder: Path of the run folder.
        resume: True if the user asked to continue.

    Raises:
        ConfigError: ``resume`` is true and there is no checkpoint.
    """
    if resume and not (folder / "checkpoints" / "last.safetensors").exists():
        raise ConfigError(
            describe(
                expected=f"a run with a checkpoint in {folder}",
                found="none",
                fix="correct -o, or omit --resume to begin a run there",
            )
        )


def _folder(folder: str | os.PathLike[str] | None, config: Path | None) -> Path:
    if folder is not None:
        return Path(folder)
    name = "run" if config is None else config.stem
    if name in {".", "..", ""}:
        raise ConfigError(
            describe(
                expected="a configuration whose name gives the run folder its own",
                found=f"{config}",
                fix="name the run folder with -o",
            )
        )
    return Path("runs") / name
