"""`learnedrecon train`: training of a method."""

from pathlib import Path
from typing import Annotated

import typer

from learnedrecon.cli.failure import INTERRUPTED
from learnedrecon.cli.options import Device, Overrides, echo, note


def train(
    config: Annotated[Path, typer.Argument(help="Configuration, as 'init' writes it.")],
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Run folder; runs/CONFIG by default.")
    ] = None,
    overrides: Overrides = None,
    resume: Annotated[
        bool | None,
        typer.Option(
            "--resume/--fresh",
            help="Continue an existing run only, or start it again. By default an interrupted run "
            "continues.",
        ),
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Log also to TensorBoard (an extra).")
    ] = False,
    weights: Annotated[
        Path | None,
        typer.Option("--weights", metavar="RUN|FILE", help="Initial weights of the same model."),
    ] = None,
    device: Device = "auto",
) -> None:
    """Train the method of a configuration.

    Ctrl-C saves and stops; the same command continues from there. With a larger training.steps it
    gives a run more steps, also one that is finished.
    """
    from learnedrecon.experiments.training import train as trained

    run = trained(
        config,
        output,
        overrides=overrides or [],
        resume=resume,
        weights=weights,
        device=device,
        tensorboard=tensorboard,
    )
    best = "none yet" if run.best is None else str(run.best)
    if run.interrupted:
        note(f"Saved after step {run.step}; the best validation is {best}.")
        note("The same command goes on from there.")
        raise typer.Exit(INTERRUPTED)
    echo(f"Trained {run.step} steps; the best validation is {best}.")
    echo(f"Score it:   learnedrecon evaluate {run.folder}")
    echo(f"Compare it: learnedrecon compare {run.folder} fbp tv")
    echo(f"Use it:     learnedrecon reconstruct {run.folder} MEASUREMENT -o image.npy")
