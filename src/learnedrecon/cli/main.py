"""The entry point of the command line, with all commands."""

from typing import Annotated

import typer

from learnedrecon.cli import check
from learnedrecon.cli.align import align
from learnedrecon.cli.certify import certify
from learnedrecon.cli.compare import compare
from learnedrecon.cli.demo import demo
from learnedrecon.cli.environment import env
from learnedrecon.cli.evaluate import evaluate
from learnedrecon.cli.failure import Commands
from learnedrecon.cli.init import init
from learnedrecon.cli.list import list_names
from learnedrecon.cli.options import show_notes, spell_out
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
    modules: Annotated[
        list[str] | None,
        typer.Option(
            "--import",
            metavar="MODULE",
            help="Import your own module that registers classes, as 'imports' in a configuration "
            "does; repeatable.",
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)
    ] = False,
) -> None:
    """Learned iterative reconstruction: train methods, compare them, reconstruct measurements."""
    del debug
    spell_out()
    show_notes()
    if version:
        from importlib.metadata import version as version_of

        typer.echo(version_of("learnedrecon"))
        raise typer.Exit
    if modules:
        from learnedrecon.config.extensions import import_modules

        import_modules(modules)


for command in (demo, init, train, evaluate, compare, certify, align, reconstruct, env):
    app.command()(command)
app.command(name="list")(list_names)
app.add_typer(check.app, name="check")


def main() -> None:
    """Runs the command line."""
    app()


if __name__ == "__main__":
    main()
