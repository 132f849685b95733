"""`learnedrecon train`: learn the weights of a method."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from learnedrecon.cli.failure import INTERRUPTED
from learnedrecon.cli.options import Device, Overrides, note
from learnedrecon.errors import ConfigError, DataError, describe

if TYPE_CHECKING:
    from learnedrecon.experiments.experiment import Experiment
    from learnedrecon.schemes.reconstructor import Reconstructor
    from learnedrecon.training.loggers import Logger
    from learnedrecon.training.run import RunFolder

_ENDLESS = 10**8


def train(
    config: Annotated[Path, typer.Argument(help="The configuration, as 'init' writes it.")],
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The run folder; runs/CONFIG by default.")
    ] = None,
    overrides: Overrides = None,
    resume: Annotated[
        bool | None,
        typer.Option(
            "--resume/--fresh",
            help="Insist on going on with a run that is there, or begin it anew. By default a run "
            "that was interrupted goes on.",
        ),
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Log to TensorBoard too (an extra).")
    ] = False,
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights", metavar="RUN|FILE", help="Begin with these weights of the same model."
        ),
    ] = None,
    device: Device = "auto",
) -> None:
    """Train the method that a configuration describes.

    Ctrl-C saves and stops; the same command goes on from there.
    """
    from learnedrecon.config.yaml_file import read_config
    from learnedrecon.experiments.experiment import Experiment
    from learnedrecon.experiments.strategy import Strategy
    from learnedrecon.specs import to_plain
    from learnedrecon.training.accelerator import choose_device, make_accelerator
    from learnedrecon.training.loop import train as train_loop
    from learnedrecon.training.run import RunFolder

    cpu = choose_device(device).type == "cpu"
    settings = read_config(config, overrides or [])
    folder = output or Path("runs") / config.stem
    refuse_own_config(config, folder, resume=resume)
    accelerator = make_accelerator(settings.training.precision, cpu=cpu)
    experiment = Experiment(settings, accelerator.device)
    model = experiment.model()
    refuse_without_weights(config, sum(p.numel() for p in model.parameters()))
    if weights is not None:
        begin_with(weights, model)
    look_at_data(experiment)
    strategy = Strategy.of(experiment, model, accelerator, folder)
    require_run(folder, resume=resume)
    extra = loggers(folder, tensorboard=tensorboard)
    run = RunFolder.start(
        folder,
        config=to_plain(settings),
        blueprint=experiment.blueprint,
        overwrite=resume is False,
        exclusive=accelerator.is_main_process,
    )
    progress = run.checkpoints.progress()
    begun = 0 if progress is None else progress.step
    note(f"{begin_text(experiment, begun)} {folder}. Ctrl-C saves and stops.")
    if begun and weights is not None:
        note(f"The run goes on from its own weights; {weights} was for its beginning.")
    try:
        result = train_loop(
            model=model,
            source=strategy.source,
            update=strategy.update,
            run=run,
            spec=settings.training,
            validate=strategy.validate,
            loggers=extra,
        )
    except KeyboardInterrupt:
        note(f"Stopped at once. {on_disk_text(run)}")
        raise
    best = "none yet" if result.best is None else f"{result.best:.2f} dB"
    if result.interrupted:
        note(f"Saved after step {result.step}; the best validation is {best}.")
        note("The same command goes on from there.")
        raise typer.Exit(INTERRUPTED)
    strategy.close()
    typer.echo(f"Trained {result.step} steps; the best validation is {best}.")
    typer.echo(f"Score it:   learnedrecon evaluate {folder}")
    typer.echo(f"Compare it: learnedrecon compare {folder} fbp tv")
    typer.echo(f"Use it:     learnedrecon reconstruct {folder} MEASUREMENT -o image.tif")


def begin_text(experiment: "Experiment", begun: int) -> str:
    """What is about to happen."""
    name = experiment.blueprint.model["name"]
    steps = experiment.config.training.steps
    where = f"on {experiment.device}"
    if begun:
        return f"Going on with {name} {where}, after step {begun} of {steps}, in"
    return f"Training {name} {where} for {steps} steps in"


def on_disk_text(run: "RunFolder") -> str:
    """What a run that was cut off has saved, and how it goes on."""
    progress = run.checkpoints.progress()
    if progress is None:
        return f"{run.path} has no checkpoint yet: the same command begins anew."
    return f"{run.path} has the state after step {progress.step}: the same command goes on there."


def begin_with(path: Path, model: "Reconstructor") -> None:
    """Fills weights of another training into ``model``.

    Raises:
        FileFormatError: there are none, or they are broken.
        ConfigError: they are of another model.
    """
    from learnedrecon.models.registry import MODELS
    from learnedrecon.specs import named_to_plain
    from learnedrecon.training.run import differences
    from learnedrecon.weights.checkpoint import load_weights

    loaded = load_weights(path)
    asked, saved = (named_to_plain(MODELS, each) for each in (model.spec, loaded.model.spec))
    if found := differences(asked, saved, "model"):
        raise ConfigError(
            describe(
                expected=f"weights of the model of the configuration in {path}",
                found="; ".join(f"{where} {two!r} for {one!r}" for where, one, two in found[:3]),
                fix="give the configuration the same 'model', or leave --weights away",
            )
        )
    model.load_state_dict(loaded.model.state_dict())
    note(f"Beginning with the weights of {path}.")


def loggers(folder: Path, *, tensorboard: bool) -> "list[Logger]":
    """Where numbers go besides metrics.jsonl.

    Raises:
        MissingExtraError: TensorBoard is asked for and not installed.
    """
    from learnedrecon.training.loggers import RichProgress, TensorBoard

    extra = [TensorBoard(folder / "tensorboard")] if tensorboard else []
    return [RichProgress(), *extra]


def refuse_without_weights(config: Path, parameters: int) -> None:
    """Refuses a method that has nothing to learn.

    Raises:
        ConfigError: ``parameters`` is 0.
    """
    if parameters == 0:
        raise ConfigError(
            describe(
                expected="a method with weights to train",
                found=f"one without in {config}",
                fix=f"score it with 'learnedrecon evaluate {config} --set model.KEY=VALUE', or let "
                "'learnedrecon compare RUN fbp tv' tune it on the validation images of a run",
            )
        )


def look_at_data(experiment: "Experiment") -> None:
    """Makes a small batch of each kind, so that what is wrong is said before the training.

    Raises:
        DataError: there is none, or it cannot be simulated.
        ShapeError: it does not fit the operator.
    """
    train = experiment.dataset("train")
    experiment.builder([train[train.buckets()[0][0]]])
    next(experiment.batches("validation", 1))
    counts = {"to train": len(train), "to validate": len(experiment.dataset("validation"))}
    try:
        counts["to test"] = len(experiment.dataset("test"))
    except DataError as error:
        note(f"WARNING: nothing to test on; 'evaluate' and 'compare' will fail. {error}")
    if min(counts.values()) < _ENDLESS:
        note(f"Images: {', '.join(f'{number} {what}' for what, number in counts.items())}.")


def refuse_own_config(config: Path, folder: Path, *, resume: bool | None) -> None:
    """Refuses to begin anew in a folder whose ``config.yaml`` is the configuration itself.

    A run writes its configuration there, with every value and without comments.

    Raises:
        ConfigError: ``resume`` is false, and it is.
    """
    written = folder / "config.yaml"
    if resume is False and written.exists() and written.samefile(config):
        raise ConfigError(
            describe(
                expected=f"a configuration that the run in {folder} does not overwrite",
                found=f"{config}, to which the run writes its own",
                fix="name another folder with -o, or copy the configuration to another place",
            )
        )


def require_run(folder: Path, *, resume: bool | None) -> None:
    """Refuses --resume where there is nothing to go on from.

    Raises:
        ConfigError: ``resume`` is true and there is no checkpoint.
    """
    if resume and not (folder / "checkpoints" / "last.safetensors").exists():
        raise ConfigError(
            describe(
                expected=f"a run with a checkpoint in {folder}",
                found="none",
                fix="correct -o, or leave --resume away to begin a run there",
            )
        )
