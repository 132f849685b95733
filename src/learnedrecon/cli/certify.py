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

    The exit code is 1 without a certificate.
    """
    import copy

    from learnedrecon.evaluation.certificate import certified_step, measured_contraction
    from learnedrecon.evaluation.certificate import certify as certificate_of
    from learnedrecon.experiments.method import open_run, open_weights
    from learnedrecon.problem import InverseProblem
    from learnedrecon.schemes.reconstructor import Iterative

    method = open_run(run)[0] if run.is_dir() else open_weights(run)
    model = method.model
    if method.operator is None:
        raise _without_operator(run)
    operator = method.operator.double()
    certificate = certificate_of(model, operator, smallest=smallest)
    typer.echo(str(certificate))
    model = copy.deepcopy(model).double()
    step = certified_step(model)
    if certificate.factor is not None and step is not None and attack:
        problem = InverseProblem(operator, operator.codomain.zeros((1, 1)))
        scaled = model.scaling(problem)[0] if isinstance(model, Iterative) else problem
        step.requires_grad_(requires_grad=False)
        worst = measured_contraction(step, scaled, ascents=attack)
        share = worst / certificate.factor
        typer.echo(f"  worst contraction found {worst:.6g}, {share:.1%} of the certified one")
    if not certificate.holds:
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
