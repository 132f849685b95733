"""The entry point: every command by its name."""

from importlib import import_module
from importlib.metadata import version as version_of
from importlib.util import find_spec
from typing import Annotated

import typer

from learnedrecon.cli import check
from learnedrecon.cli.compare import compare
from learnedrecon.cli.environment import env
from learnedrecon.cli.evaluate import evaluate
from learnedrecon.cli.failure import Commands
from learnedrecon.cli.init import init
from learnedrecon.cli.reconstruct import reconstruct
from learnedrecon.cli.train import train

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def options(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)
    ] = False,
) -> None:
    """Learned iterative reconstruction: train methods, compare them, reconstruct measurements."""
    del debug
    if version:
        typer.echo(version_of("learnedrecon"))
        raise typer.Exit


if find_spec("learnedrecon.cli.demo") is not None:
    app.command()(import_module("learnedrecon.cli.demo").demo)
for command in (init, train, evaluate, compare, reconstruct, env):
    app.command()(command)
app.add_typer(check.app, name="check")


def main() -> None:
    """Runs the command line."""
    app()
