"""A training step of learned primal-dual: its variants, where its time goes, and against deepinv.

Functions of plain arguments run in processes of their own, in case that they run out of memory.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from benchmarks.against.deepinv_tomography import DeepinvTransform, Options, rough_norm
from benchmarks.harness import memory
from benchmarks.harness.cases import LODOPAB, SMALL
from benchmarks.harness.timing import Budget, Contestant, interleaved, running
from learnedrecon.models.learned_primal_dual import (
    LearnedPrimalDual,
    PrimalDualStep,
)
from learnedrecon.operators.leading import largest
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.problem import InverseProblem

if TYPE_CHECKING:
    from collections.abc import Callable

    from learnedrecon.compiling import Context
    from learnedrecon.operators.base import Operator
    from learnedrecon.operators.ray.geometry2d import ParallelBeam
    from learnedrecon.schemes.reconstructor import Iterative

SCANS: dict[str, tuple[ParallelBeam, int]] = {"128": (SMALL, 5), "362": (LODOPAB, 1)}


@dataclass(frozen=True)
class Variant:
    """How the networks of the scheme are run.

    Attributes:
        channels_last: their weights and inputs in that memory format.
        compiled: by torch.compile, which fuses what is pointwise.
        bfloat16: under autocast; the ray transform stays in float32.
    """

    channels_last: bool = False
    compiled: bool = False
    bfloat16: bool = False


VARIANTS = {
    "as it is": Variant(),
    "channels-last": Variant(channels_last=True),
    "torch.compile": Variant(compiled=True),
    "channels-last, torch.compile": Variant(channels_last=True, compiled=True),
    "bfloat16 networks": Variant(bfloat16=True),
    "bfloat16 networks, channels-last": Variant(channels_last=True, bfloat16=True),
}


class ChannelsLast(nn.Module):
    """A network in the channels-last memory format."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, u: Tensor) -> Tensor:
        """Applies it."""
        return self.network(u.contiguous(memory_format=torch.channels_last))


def model_of(variant: Variant) -> Iterative:
    """Learned primal-dual with 10 steps of 32 channels, 253 220 weights drawn from seed 0."""
    torch.manual_seed(0)
    model = LearnedPrimalDual()
    for step in model.modules():
        if isinstance(step, PrimalDualStep):
            step.dual_network = _prepared(step.dual_network, variant)
            step.primal_network = _prepared(step.primal_network, variant)
    return model


def training_step(operator: LinearOperator, batch: int, variant: Variant) -> Callable[[], float]:
    """One step of Adam along the gradient of the squared error, and its loss.

    Args:
        operator: T; the data are T of random images.
        batch: how many images.
        variant: of the networks.
    """
    generator = torch.Generator().manual_seed(1)
    truth = torch.rand((batch, 1, *operator.domain.shape), generator=generator)
    with torch.no_grad():
        problem = InverseProblem(operator, operator(truth))
    model = model_of(variant)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)
    lowered = torch.autocast("cpu", torch.bfloat16) if variant.bfloat16 else nullcontext()

    def step() -> float:
        optimiser.zero_grad()
        with lowered:
            image = model(problem).image
        loss = (image - truth).square().mean()
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    return step


def _prepared(network: nn.Module, variant: Variant) -> nn.Module:
    if variant.channels_last:
        network = ChannelsLast(network)
    if variant.compiled:
        network.compile(dynamic=False)
    return network


class Stopwatch(LinearOperator):
    """An operator that adds up the seconds of its calls, those of the backward pass too.

    Args:
        operator: T, whose gradient is taken to be T*.
    """

    def __init__(self, operator: LinearOperator) -> None:
        super().__init__(operator.domain, operator.codomain)
        self.operator = operator
        self.seconds = {"T": 0.0, "T*": 0.0}
        self.calls = {"T": 0, "T*": 0}

    def evaluate(self, u: Tensor) -> Tensor:
        return _Timed.apply(u, self, "T")

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return _Timed.apply(v, self, "T*")

    def compute_norm(self) -> float:
        return largest(self.operator.norm())

    def restart(self) -> None:
        """Sets all to zero."""
        for name in self.calls:
            self.seconds[name], self.calls[name] = 0.0, 0

    @torch.no_grad()
    def run(self, x: Tensor, which: str) -> Tensor:
        """One call, timed."""
        apply: Operator | Any = self.operator if which == "T" else self.operator.adjoint
        begun = time.perf_counter()
        result = apply(x)
        self.seconds[which] += time.perf_counter() - begun
        self.calls[which] += 1
        return result


class _Timed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor, watch: Stopwatch, which: str) -> Tensor:
        ctx.watch, ctx.which = watch, which
        return watch.run(x, which)

    @staticmethod
    def backward(ctx: Context, grad: Tensor) -> tuple[Tensor, None, None]:
        return ctx.watch.run(grad, "T*" if ctx.which == "T" else "T"), None, None


class Ours(RayTransform):
    """Our operator without the minute that its norm to seven digits would take."""

    def compute_norm(self) -> float:
        return rough_norm(self)


def all_variants(
    scan: str, names: list[str], budget: dict[str, Any], threads: int
) -> dict[str, Any]:
    """Seconds of a step on our operator, each variant in turns, and what compiling took."""
    geometry, batch = SCANS[scan]
    operator = Ours(geometry)
    steps = {name: training_step(operator, batch, VARIANTS[name]) for name in names}
    running(threads)()
    first: dict[str, Any] = {}
    for name, step in list(steps.items()):
        begun = time.perf_counter()
        try:
            step()
        except RuntimeError as error:
            first[name] = {"failed": str(error).splitlines()[0]}
            del steps[name]
        else:
            first[name] = {"first_step_s": time.perf_counter() - begun}
    contestants = [Contestant(name, step, running(threads)) for name, step in steps.items()]
    times = interleaved(contestants, Budget(**budget))
    return {
        name: found | ({"samples": list(times[name].samples)} if name in times else {})
        for name, found in first.items()
    }


def against_deepinv(
    scan: str, options: dict[str, bool], budget: dict[str, Any], threads: int, variant: str
) -> dict[str, Any]:
    """Seconds of a step of the same network on both operators in turns, and the shares of each."""
    geometry, batch = SCANS[scan]
    running(threads)()
    theirs = DeepinvTransform(geometry, Options(**options))
    operators: dict[str, LinearOperator] = {"ours": Ours(geometry), "theirs": theirs}
    networks = VARIANTS[variant]
    contestants = [
        Contestant(name, training_step(operator, batch, networks), running(threads))
        for name, operator in operators.items()
    ]
    times = interleaved(contestants, Budget(**budget))
    found: dict[str, Any] = {name: list(one.samples) for name, one in times.items()}
    found["shares"] = {
        name: shares(operator, batch, variant, warm_up=False)
        for name, operator in operators.items()
    }
    found["peak"] = memory.peak()
    return found


def once_against_deepinv(
    scan: str, options: dict[str, bool], threads: int, variant: str
) -> dict[str, Any]:
    """The same where a step takes minutes: theirs once, between two of ours, all by the shares."""
    geometry, batch = SCANS[scan]
    running(threads)()
    theirs = DeepinvTransform(geometry, Options(**options))
    before = shares(Ours(geometry), batch, variant)
    other = shares(theirs, batch, variant, warm_up=False)
    after = shares(Ours(geometry), batch, variant, warm_up=False)
    return {
        "ours": [before["step"], after["step"]],
        "theirs": [other["step"]],
        "shares": {"ours": before, "theirs": other},
        "peak": memory.peak(),
    }


def our_shares(scan: str, names: list[str], threads: int) -> dict[str, Any]:
    """Where the time of a step goes, for some variants."""
    geometry, batch = SCANS[scan]
    running(threads)()
    return {name: shares(Ours(geometry), batch, name) for name in names}


def shares(
    operator: LinearOperator, batch: int, variant: str = "as it is", *, warm_up: bool = True
) -> dict[str, Any]:
    """Seconds of one step in T, in T*, and in the rest, after one that does not count."""
    watch = Stopwatch(operator)
    step = training_step(watch, batch, VARIANTS[variant])
    if warm_up:
        step()
    watch.norm()
    watch.restart()
    begun = time.perf_counter()
    step()
    whole = time.perf_counter() - begun
    rest = whole - sum(watch.seconds.values())
    return {"step": whole, **watch.seconds, "rest": rest, "calls": dict(watch.calls)}
