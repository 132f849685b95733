"""`learnedrecon certify`: what can be proved of a trained fixed point scheme."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from learnedrecon.errors import ConfigError


def certify(
    run: Annotated[Path, typer.Argument(help="A run folder, or a weights file.")],
    *,
    smallest: Annotated[
        float, typer.Option("--mu", help="A lower bound of the smallest eigenvalue of T*T.")
    ] = 0.0,
    attack: Annotated[
        int, typer.Option("--attack", help="Steps of the search for pairs that contract least.")
    ] = 50,
) -> None:
    """Print the contraction factor, its iterations and its stability, or why there is no proof.

    The exit code is 1 without a certificate, and where the search finds that it is false.
    """
    from learnedrecon.evaluation.certificate import certify as certificate_of
    from learnedrecon.evaluation.certificate_attack import attack as attack_on
    from learnedrecon.experiments.experiment import FIDELITIES
    from learnedrecon.experiments.method import open_run, open_weights

    method = open_run(run)[0] if run.is_dir() else open_weights(run)
    if method.operator is None:
        raise _without_operator(run)
    operator = method.operator.double()
    fidelity = FIDELITIES[method.fidelity]()
    certificate = certificate_of(method.model, operator, fidelity=fidelity, smallest=smallest)
    typer.echo(str(certificate))
    if not certificate.holds:
        raise typer.Exit(1)
    if attack:
        found = attack_on(certificate, method.model, operator, fidelity=fidelity, ascents=attack)
        typer.echo(f"  {found}")
        if found.refuted:
            raise typer.Exit(1)


def _without_operator(run: Path) -> "ConfigError":
    from learnedrecon.errors import ConfigError, describe

    return ConfigError(
        describe(
            expected=f"weights with the operator that they were trained with in {run}",
            found="none",
            fix="name a run folder, or save the weights with save_weights(..., operator=T)",
        )
    )
