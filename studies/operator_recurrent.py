"""Claim: a network that multiplies by its input learns X ↦ (I + X)⁻¹b better than a plain one.

    OMP_NUM_THREADS=1 python -m studies.operator_recurrent
    python -m studies.operator_recurrent --draw    # prints and draws what is recorded

X is symmetric (16, 16) with ‖X‖ uniform in (0, 0.9), b one fixed vector. Every training batch is
drawn anew; the learning rate is chosen on validation matrices, and the test matrices, of which each
‖X‖ has its own, are seen once. All networks have the same loss, optimiser and number of steps. Also
beside them: the Neumann series with as many multiplications by X, and the polynomial of this degree
that is best for training matrices.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import matplotlib.pyplot as plt
import torch
import typer
from torch import Tensor, nn

from benchmarks.harness.run import save
from benchmarks.harness.tables import Cell, Table, table
from learnedrecon.evaluation.scores import count_parameters
from learnedrecon.models.operator_recurrent import AffineMap, OperatorRecurrentStep
from learnedrecon.operators.matrix import MatrixOperator
from learnedrecon.problem import InverseProblem, Problem
from learnedrecon.schemes.reconstructor import Iterative
from learnedrecon.schemes.scaling import NoScaling
from learnedrecon.schemes.step import Chain
from studies.common.scores import machines, there
from studies.common.study import RESULTS, Study, not_measured

if TYPE_CHECKING:
    from pathlib import Path

    from studies.common.study import Found, Job

SIZE, LAYERS, BATCH, STEPS, LARGEST = 16, 5, 128, 1500, 0.9
NORMS = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
RATES = (1e-3, 5e-3)
MATRICES = 500
COLOURS = ("#2b8a3e", "#c92a2a", "#e8890c", "#555555", "#1f5fa8")

Method: TypeAlias = Callable[[Tensor], Tensor]


def right_side() -> Tensor:
    """The vector b, (16,), of length 1."""
    b = torch.randn(SIZE, generator=torch.Generator().manual_seed(0))
    return b / b.norm()


def matrices(generator: torch.Generator, norms: Tensor) -> Tensor:
    """Symmetric matrices of given spectral norms, (number, 16, 16)."""
    entries = torch.randn(len(norms), SIZE, SIZE, generator=generator)
    symmetric = entries + entries.mT
    return symmetric * (norms / torch.linalg.matrix_norm(symmetric, 2))[:, None, None]


def drawn(generator: torch.Generator, number: int) -> Tensor:
    """Matrices with norms as in the training."""
    return matrices(generator, LARGEST * torch.rand(number, generator=generator))


def solutions(x: Tensor) -> Tensor:
    """(I + X)⁻¹b."""
    b = right_side().expand(len(x), SIZE)
    return torch.linalg.solve(torch.eye(SIZE) + x, b)


def errors(method: Method, x: Tensor) -> Tensor:
    """‖û - u‖²/‖u‖² of every matrix."""
    truth = solutions(x)
    return (method(x) - truth).square().sum(1) / truth.square().sum(1)


class OperatorNetwork(nn.Module):
    """The operator-recurrent network with dense layers, X ↦ u."""

    def __init__(self) -> None:
        super().__init__()
        layers = [
            OperatorRecurrentStep(
                AffineMap((2, SIZE), (1, SIZE)), AffineMap((2, SIZE), (1, SIZE)), 1, normal=False
            )
            for _ in range(LAYERS)
        ]
        self.scheme = Iterative(Chain(layers), _data_of, NoScaling())

    def forward(self, x: Tensor) -> Tensor:
        """The result for matrices (batch, 16, 16), (batch, 16)."""
        operator = MatrixOperator(x[0]).with_tensors({"matrix": x[:, None]})
        b = right_side().expand(len(x), 1, SIZE).clone()
        return self.scheme(InverseProblem(operator, b)).image[:, 0]


def _data_of(problem: Problem) -> Tensor:
    return problem.data


def plain(hidden: int) -> nn.Module:
    """A network of three dense layers on all entries of X."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(SIZE**2, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, SIZE),
    )


LEARNED: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "operator-recurrent": ("operator-recurrent", OperatorNetwork),
    "operator-plain": ("plain, same size", partial(plain, 18)),
    "operator-wide": ("plain, ten times the size", partial(plain, 124)),
}


def powers(x: Tensor) -> Tensor:
    """b, -Xb, X²b, ..., (number, 16, 6)."""
    found = [right_side().expand(len(x), SIZE)]
    for _ in range(LAYERS):
        found.append(-(x @ found[-1].unsqueeze(-1)).squeeze(-1))
    return torch.stack(found, dim=-1)


def neumann(x: Tensor) -> Tensor:
    """The truncated Neumann series."""
    return powers(x).sum(-1)


def polynomial(generator: torch.Generator) -> tuple[Method, list[float]]:
    """The polynomial with the least relative error for training matrices, and its coefficients."""
    x = drawn(generator, 20_000)
    truth = solutions(x)
    size = truth.norm(dim=1)[:, None]
    rows = (powers(x) / size[..., None]).flatten(0, 1).double()
    best = torch.linalg.lstsq(rows, (truth / size).flatten()[:, None].double()).solution[:, 0]
    return (lambda x: powers(x) @ best.float()), best.tolist()


def fitted(build: Callable[[], nn.Module], rate: float, steps: int) -> nn.Module:
    """A network after its training."""
    torch.manual_seed(0)
    model, generator = build(), torch.Generator().manual_seed(100)
    optimiser = torch.optim.Adam(model.parameters(), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        loss = errors(model, drawn(generator, BATCH)).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return model


@torch.no_grad()
def by_norm(method: Method) -> list[float]:
    """√mean ‖û - u‖²/‖u‖² of the test matrices, for every ‖X‖."""
    found = []
    for index, norm in enumerate(NORMS):
        generator = torch.Generator().manual_seed(200 + index)
        x = matrices(generator, torch.full((MATRICES,), norm))
        found.append(float(errors(method, x).mean().sqrt()))
    return found


def learned(name: str, job: Job) -> Found:
    """A network with the learning rate that is best for validation matrices."""
    title, build = LEARNED[name]
    validation = drawn(torch.Generator().manual_seed(1), 2000)
    begun = time.process_time()
    models = {rate: fitted(build, rate, 20 if job.quick else STEPS) for rate in RATES}
    with torch.no_grad():
        tried = {rate: float(errors(m, validation).mean()) for rate, m in models.items()}
    rate = min(tried, key=lambda each: tried[each])
    found = {
        "parameters": count_parameters(models[rate]),
        "rate": rate,
        "steps": STEPS,
        "validation": tried,
        "cpu_seconds": time.process_time() - begun,
    }
    return row(title, models[rate]) | found


def neumann_part(_: Job) -> Found:
    """The truncated Neumann series."""
    return row("Neumann series", neumann)


def polynomial_part(_: Job) -> Found:
    """The best polynomial."""
    best, coefficients = polynomial(torch.Generator().manual_seed(100))
    found = {"parameters": len(coefficients), "coefficients": coefficients}
    return row("best polynomial", best) | found


def row(title: str, method: Method) -> Found:
    """What a method reaches on the test matrices."""
    return {"title": title, "parameters": 0, "norms": NORMS, "errors": by_norm(method)}


PARTS: dict[str, Callable[[Job], Found]] = {
    **{name: partial(learned, name) for name in LEARNED},
    "operator-neumann": neumann_part,
    "operator-polynomial": polynomial_part,
}


def page(results: Path) -> list[Table | str]:
    """Relative errors by ‖X‖."""
    rows = [found for _, found in there(results, tuple(PARTS))]
    if not rows:
        return [not_measured("operator_recurrent", *PARTS)]
    columns: dict[str, Cell] = {
        "relative error at ‖X‖ =": "title",
        **{str(norm): partial(_at, i) for i, norm in enumerate(NORMS)},
        "parameters": "parameters",
        "CPU (s), both rates": lambda r: f"{r['cpu_seconds']:.0f}" if "cpu_seconds" in r else "",
    }
    note = (
        f"{LAYERS} multiplications by X each, but for the plain networks; {STEPS} steps "
        f"of {BATCH} matrices, ‖X‖ ≤ {LARGEST} in the training."
    )
    return [table(rows, columns, note)]


def _at(index: int, found: Found) -> str:
    return f"{found['errors'][index]:.1e}"


def draw(results: Path, path: Path) -> None:
    """Errors against ‖X‖."""
    figure, axis = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for (_, found), colour in zip(there(results, tuple(PARTS)), COLOURS, strict=False):
        line = "o-" if "cpu_seconds" in found else "s--"
        label = f"{found['title']} ({found['parameters']} parameters)"
        axis.semilogy(found["norms"], found["errors"], line, color=colour, ms=4, label=label)
    ends = (LARGEST, max(NORMS))
    axis.axvspan(*ends, color="#eeeeee", zorder=0, label="norms beyond those of the training")
    axis.spines[["top", "right"]].set_visible(False)
    axis.set(xlabel="‖X‖", ylabel="relative error of (I + X)⁻¹b")
    axis.legend(frameon=False, fontsize=8, loc="lower right")
    save(figure, path)


STUDY = Study(
    "operator_recurrent",
    "A network that multiplies by its input learns X ↦ (I + X)⁻¹b better than a plain network of "
    "the same size.",
    "Its error is a quarter to two thirds of that of the plain network, and below that of one with "
    "ten times its parameters, up to the norms of the training. After 1500 steps it is still far "
    "from what it contains: the Neumann series with as many multiplications is better for "
    "‖X‖ ≤ 0.8, and the best polynomial of this degree, six numbers, from ‖X‖ = 0.3 on.",
    PARTS,
    page,
    ("operator-recurrent.png", draw),
)
WHERE = partial(machines, RESULTS, "operator_recurrent", tuple(PARTS))

if __name__ == "__main__":
    typer.run(STUDY.main)
