"""Recording and replay of operator calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from learnedrecon.errors import ConfigError, describe
from learnedrecon.functionals.base import Regulariser
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.problem import Problem, Wrapper

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from learnedrecon.operators.base import Operator
    from learnedrecon.operators.rows import Rows

_SAME = 1e-6


@dataclass(frozen=True, eq=False)
class Call:
    """One application of an operator to one batch.

    Attributes:
        name: "forward", "adjoint", "gradient" or "solve".
        part: Part of the data, "" for all of them.
        marks: Fingerprints of the arguments, (batch, 3) each, side by side; see :func:`marks_of`.
        answer: Result, (batch, ...).
    """

    name: str
    part: str
    marks: Tensor
    answer: Tensor


@dataclass(eq=False)
class Tape:
    """All operator calls of a step.

    Attributes:
        calls: Calls of the operator.
        data: y and parts of it, where they were read.
        reason: Reason why the results cannot be reused, or None.
    """

    calls: list[Call] = field(default_factory=list)
    data: dict[str, Tensor] = field(default_factory=dict)
    reason: str | None = None


class Recording(Wrapper):
    """A problem that records all calls.

    Where gradients are enabled, a result that requires one depends on the weights of the step, or
    on trained tensors of the operator, and is not valid after they change: the tape records this as
    its reason. The initial state of the step must therefore not require a gradient.

    Args:
        inner: Problem that computes the results.
        tape: Tape of the record, shared with all parts.
        part: Part of the data.
    """

    def __init__(self, inner: Problem, tape: Tape, part: str = "") -> None:
        super().__init__(inner)
        self.tape = tape
        self.part = part

    def rewrap(self, inner: Problem) -> Self:
        return type(self)(inner, self.tape, self.part)

    @property
    def data(self) -> Tensor:  # type: ignore[override]
        self.tape.data[self.part] = self.inner.data.detach()
        return self.inner.data

    @property
    def draws(self) -> tuple[int, ...]:  # type: ignore[override]
        self.tape.reason = "it sees parts of the data in random order"
        return self.inner.draws

    def forward(self, u: Tensor) -> Tensor:
        return self._noted("forward", [u], self.inner.forward(u))

    def adjoint(self, v: Tensor, at: Tensor | None = None) -> Tensor:
        linear = isinstance(self.inner.operator, LinearOperator)
        given = [v] if linear or at is None else [v, at]
        return self._noted("adjoint", given, self.inner.adjoint(v, at))

    def gradient(self, u: Tensor) -> Tensor:
        return self._noted("gradient", [u], self.inner.gradient(u))

    def solve(self, b: Tensor, weight: Tensor | float) -> Tensor:
        given = [b, _per_sample(weight, b)]
        return self._noted("solve", given, self.inner.solve(b, weight))

    def subset(self, rows: Rows) -> Self:
        return type(self)(self.inner.subset(rows), self.tape, _part(self.part, rows))

    def _noted(self, name: str, given: Sequence[Tensor], answer: Tensor) -> Tensor:
        if answer.requires_grad:
            number = len(self.tape.calls) + 1
            self.tape.reason = f"operator call {number} ({name}) depends on what is trained"
        marks = torch.cat([marks_of(each) for each in given], dim=1)
        self.tape.calls.append(Call(name, self.part, marks, answer.detach()))
        return answer


@dataclass(frozen=True, eq=False)
class Replayed(Problem):
    """A problem that answers recorded calls from a tape.

    Attributes:
        tape: Tape of this batch.
        state: Initial state of the step, a NamedTuple of tensors.
        scale: c, the factor of the image; a number or (batch, 1, ...).
        regulariser: Fixed R, or None.
        draws: No integers, as the tape replaces them.
        part: Part of the data.
    """

    tape: Tape
    state: Any
    scale: Tensor | float
    regulariser: Regulariser | None = None
    draws: tuple[int, ...] = ()
    part: str = ""

    @property
    def data(self) -> Tensor:  # type: ignore[override]
        if self.part not in self.tape.data:
            raise self._unknown("the data")
        return self.tape.data[self.part]

    @property
    def operator(self) -> Operator:  # type: ignore[override]
        raise self._unknown("the operator")

    def forward(self, u: Tensor) -> Tensor:
        return self._answer("forward", u, None)

    def adjoint(self, v: Tensor, at: Tensor | None = None) -> Tensor:
        return self._answer("adjoint", v, at)

    def gradient(self, u: Tensor) -> Tensor:
        return self._answer("gradient", u, None)

    def solve(self, b: Tensor, weight: Tensor | float) -> Tensor:
        return self._answer("solve", b, _per_sample(weight, b))

    def subset(self, rows: Rows) -> Replayed:
        return Replayed(
            self.tape,
            self.state,
            self.scale,
            self.regulariser,
            self.draws,
            _part(self.part, rows),
        )

    def to(self, device: torch.device | str) -> Replayed:
        calls = [
            Call(c.name, c.part, c.marks.to(device), c.answer.to(device)) for c in self.tape.calls
        ]
        data = {name: tensor.to(device) for name, tensor in self.tape.data.items()}
        state = type(self.state)(*[tensor.to(device) for tensor in self.state])
        scale = self.scale.to(device) if isinstance(self.scale, torch.Tensor) else self.scale
        tape = Tape(calls, data, self.tape.reason)
        return Replayed(tape, state, scale, self.regulariser, self.draws, self.part)

    def _answer(self, name: str, given: Tensor, at: Tensor | None) -> Tensor:
        own = marks_of(given)
        for call in self.tape.calls:
            if (call.name, call.part) != (name, self.part):
                continue
            marks = own
            if call.marks.shape[1] > own.shape[1]:
                if at is None:
                    continue
                marks = torch.cat([own, marks_of(at)], dim=1)
            if _same(marks, call.marks):
                return call.answer
        raise self._unknown(f"{name} of something else")

    def _unknown(self, what: str) -> ConfigError:
        return ConfigError(
            describe(
                expected="a step that asks of the operator what it asked when it was recorded",
                found=f"a step that asks for {what}",
                fix="train it without the cache: set training.greedy.cache_gb to 0",
            )
        )


def marks_of(tensor: Tensor) -> Tensor:
    """A fingerprint of a tensor: Σx, Σwx with weights w that increase from 1 to 2, and Σ|x|.

    Args:
        tensor: Tensor (batch, ...), real or complex.

    Returns:
        Fingerprints (batch, 3), float64.
    """
    flat = tensor.detach().flatten(1)
    if flat.is_complex():
        flat = torch.view_as_real(flat).flatten(1)
    flat = flat.double()
    weights = torch.linspace(1, 2, flat.shape[1], dtype=torch.float64, device=flat.device)
    return torch.stack([flat.sum(1), flat @ weights, flat.abs().sum(1)], dim=1)


def _per_sample(weight: Tensor | float, like: Tensor) -> Tensor:
    """(batch, 1), for one number or one per sample."""
    given = torch.as_tensor(weight, dtype=torch.float64, device=like.device)
    return given.reshape(-1, 1).expand(like.shape[0], 1)


def _same(one: Tensor, other: Tensor) -> bool:
    sizes = other[:, 2::3].repeat_interleave(3, dim=1)
    return one.shape == other.shape and bool(((one - other).abs() <= _SAME * sizes).all())


def _part(parent: str, rows: Rows) -> str:
    if isinstance(rows, slice):
        text = ":".join("" if n is None else str(n) for n in (rows.start, rows.stop, rows.step))
    else:
        text = ",".join(str(int(row)) for row in rows)
    return f"{parent}/{text}"
