"""Ways to differentiate within what torch puts around them: compilers, processes, checkpoints."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from learnedrecon.models.equilibrium import EquilibriumGradient, FixedPointSolver, PotentialLayers
from learnedrecon.models.invertible_primal_dual import InvertiblePrimalDual
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.problem import InverseProblem

if TYPE_CHECKING:
    from collections.abc import Callable

    from learnedrecon.models.equilibrium import FixedPointBackwardName
    from learnedrecon.networks.bounded import Bound
    from learnedrecon.schemes.reconstructor import Iterative

OF_DYNAMO = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",
    "ignore:Dynamo detected a call to a `functools.lru_cache`",
    "ignore:The .grad attribute of a Tensor",
)
SCAN = ParallelBeam((5, 6), AngleRange(7), FlatDetector(9))
LAYERS = PotentialLayers(layers=2, width=4, filters=6, threshold=0.2)


def problem(samples: slice = slice(None)) -> InverseProblem:
    operator = RayTransform(SCAN, torch.float64)
    images = torch.rand(2, 1, 5, 6, generator=torch.Generator().manual_seed(3)).double()
    return InverseProblem(operator, operator(images)[samples])


def reversible() -> Iterative:
    torch.manual_seed(0)
    return InvertiblePrimalDual(3, hidden=4).double()


def equilibrium(backward: FixedPointBackwardName) -> Iterative:
    torch.manual_seed(0)
    solver = FixedPointSolver(1e-12, 200, backward, 1e-12)
    return EquilibriumGradient(1.0, 0.5, network=LAYERS, solver=solver).double()


SCHEMES: dict[str, Callable[[], Iterative]] = {
    "reversible": reversible,
    "implicit": lambda: equilibrium("implicit"),
    "jacobian_free": lambda: equilibrium("jacobian_free"),
}


def gradients(call: Callable[[InverseProblem], Tensor], model: nn.Module) -> list[Tensor]:
    loss = call(problem()).square().sum()
    return list(torch.autograd.grad(loss, list(model.parameters())))


def agree(found: list[Tensor], expected: list[Tensor], tolerance: float = 1e-9) -> None:
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.slow
@OF_DYNAMO
@pytest.mark.parametrize("what", ["model", "networks"])
def test_compiled_reversible_schemes(what: str) -> None:
    model = reversible()
    expected = gradients(lambda p: model(p).image, model)
    torch._dynamo.reset()
    call = torch.compile(model, backend="aot_eager") if what == "model" else model
    if what == "networks":
        for step in model.scheme:  # type: ignore[attr-defined]
            step.dual_network.compile(backend="aot_eager")
            step.primal_network.compile(backend="aot_eager")
    agree(gradients(lambda p: call(p).image, model), expected)


def in_parallel(rank: int, meeting: str) -> None:
    """One of two processes, each with one of two samples."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    for name, scheme in SCHEMES.items():
        sys.stderr.write(f"{name}\n")
        half_of_the_samples(scheme(), rank)
    distributed.barrier()
    distributed.destroy_process_group()


def half_of_the_samples(model: Iterative, rank: int) -> None:
    loss = model(problem()).image.square().sum() / 2
    expected = list(torch.autograd.grad(loss, list(model.parameters())))
    shared = DistributedDataParallel(model)
    for _ in range(2):
        shared.zero_grad()
        shared(problem(slice(rank, rank + 1))).image.square().sum().backward()
    agree([p.grad for p in model.parameters() if p.grad is not None], expected)


@pytest.mark.slow
def test_two_processes_find_the_gradient_of_both_samples(tmp_path: Path) -> None:
    """Of every scheme in turn; the last name of the message is the one that does not."""
    meeting = (tmp_path / "meeting").as_uri()
    command = [sys.executable, str(Path(__file__)), meeting]
    local = {**os.environ, "GLOO_SOCKET_IFNAME": "lo"}
    both = [
        subprocess.Popen([*command, str(rank)], stderr=subprocess.PIPE, env=local)
        for rank in range(2)
    ]
    ends = [process.communicate(timeout=600)[1].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], ends


@pytest.mark.parametrize("bound", ["layers", "none"])
@pytest.mark.parametrize("name", ["implicit", "jacobian_free"])
def test_autocast_keeps_the_graph_of_weights_that_the_solver_has_lowered(
    name: FixedPointBackwardName, bound: Bound
) -> None:
    """Autocast caches lowered weights; those that are made without a graph must not be used."""

    def run(*, lowered: bool) -> list[Tensor]:
        torch.manual_seed(0)
        solver, layers = FixedPointSolver(1e-2, 50, name), replace(LAYERS, bound=bound)
        model = EquilibriumGradient(1.0, 0.5, network=layers, solver=solver)
        given = problem()
        given = InverseProblem(RayTransform(SCAN), given.data.float())
        with torch.autocast("cpu", torch.bfloat16, enabled=lowered):
            image = model(given).image
        return list(torch.autograd.grad(image.float().square().sum(), list(model.parameters())))

    for found, expected in zip(run(lowered=True), run(lowered=False), strict=True):
        assert float((found - expected).norm()) <= 0.1 * float(expected.norm()) + 1e-3


if __name__ == "__main__":
    in_parallel(int(sys.argv[2]), sys.argv[1])
