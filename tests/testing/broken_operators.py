"""Operators with one fault each, on purpose, and the property in which the kit finds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from learnedrecon.errors import DataError
from learnedrecon.operators.linear import Adjoint, LinearMultiple, LinearOperator
from learnedrecon.operators.space import Space

if TYPE_CHECKING:
    from torch.autograd.function import FunctionCtx

    from learnedrecon.operators.leading import Norm

ROWS, COLUMNS = 6, 5


class Sound(LinearOperator):
    """x ↦ Ax, complex, with rows; everything below breaks one thing in it."""

    row_axis = -1
    matrix: Tensor

    def __init__(self, dtype: torch.dtype = torch.complex128, rows: int = ROWS) -> None:
        super().__init__(Space((COLUMNS,), dtype), Space((rows,), dtype))
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("matrix", torch.randn(rows, COLUMNS, dtype=dtype, generator=generator))

    def evaluate(self, u: Tensor) -> Tensor:
        return u @ self.matrix.to(u.dtype).T

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return v @ self.matrix.to(v.dtype).conj()

    def restrict(self, rows: tuple[int, ...]) -> LinearOperator:
        part = type(self)(self.domain.dtype, len(rows))
        part.matrix = self.matrix[list(rows)]
        return part


class WrongSign(Sound):
    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return -super().evaluate_adjoint(v)


class NotConjugated(Sound):
    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return v @ self.matrix


class OnePixelOff(Sound):
    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        wrong = super().evaluate_adjoint(v).clone()
        wrong[..., 2] *= 1.001
        return wrong


class OneEntryOff(Sound):
    """Wrong by 1e-8 in one entry of the matrix."""

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        wrong = super().evaluate_adjoint(v).clone()
        wrong[..., 2] += 1e-8 * v[..., -1]
        return wrong


class Affine(Sound):
    def evaluate(self, u: Tensor) -> Tensor:
        return super().evaluate(u) + 1e-3


class Curved(Sound):
    def evaluate(self, u: Tensor) -> Tensor:
        return super().evaluate(u) + 1e-6 * u[..., :1].abs() ** 2


class AdjointCurved(Sound):
    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        back = super().evaluate_adjoint(v)
        return back * (1 + 1e-6 * v.abs().amax(-1, keepdim=True))


class MixesBatch(Sound):
    def evaluate(self, u: Tensor) -> Tensor:
        u = u - 1e-3 * u.mean(0, keepdim=True) if u.ndim > 1 else u
        return super().evaluate(u)


class AdjointMixesBatch(Sound):
    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        v = v - 1e-3 * v.mean(0, keepdim=True) if v.ndim > 1 else v
        return super().evaluate_adjoint(v)


class Mutates(Sound):
    def evaluate(self, u: Tensor) -> Tensor:
        if not u.requires_grad:
            u.mul_(2)
        return super().evaluate(u)


class AdjointMutates(Sound):
    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        back = super().evaluate_adjoint(v)
        if not v.requires_grad:
            v.zero_()
        return back


class SinglePrecision(Sound):
    def evaluate(self, u: Tensor) -> Tensor:
        return u.to(torch.complex64) @ self.matrix.to(torch.complex64).T


class RoundsInside(Sound):
    def evaluate(self, u: Tensor) -> Tensor:
        return super().evaluate(u.to(torch.complex64).to(u.dtype))


class ForgetsComplex(Sound):
    """Moves as a plain module does, which drops imaginary parts."""

    def _apply(self, fn: object, recurse: bool = True) -> ForgetsComplex:
        self.matrix = self.matrix.real.to(torch.float64)
        self.domain = Space((COLUMNS,), torch.float64)
        self.codomain = Space((ROWS,), torch.float64)
        assert fn is not recurse
        return self


class WrongNorm(Sound):
    def compute_norm(self) -> Norm:
        return 1.01 * super().compute_norm()


class Detached(Sound):
    def evaluate(self, u: Tensor) -> Tensor:
        return super().evaluate(u.detach()) + 0 * u.sum(-1, keepdim=True)


class _WrongBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, u: Tensor, matrix: Tensor) -> Tensor:
        ctx.save_for_backward(matrix)
        return u @ matrix.T

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, None]:
        (matrix,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return 1.0001 * grad @ matrix.conj(), None


class _SoundBackward(_WrongBackward):
    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, None]:
        (matrix,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return grad @ matrix.conj(), None


class WrongGradient(Sound):
    def evaluate(self, u: Tensor) -> Tensor:
        result: Tensor = _WrongBackward.apply(u, self.matrix.to(u.dtype))
        return result


class NoForwardMode(Sound):
    def evaluate(self, u: Tensor) -> Tensor:
        result: Tensor = _SoundBackward.apply(u, self.matrix.to(u.dtype))
        return result


class Clips(Sound):
    """Linear until the data are large."""

    def evaluate(self, u: Tensor) -> Tensor:
        return super().evaluate(u / (u.abs().amax(-1, keepdim=True) / 9).clamp(min=1))


class AdjointClips(Sound):
    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return super().evaluate_adjoint(v / (v.abs().amax(-1, keepdim=True) / 9).clamp(min=1))


class WrongH(Sound):
    @property
    def H(self) -> Adjoint:
        return Adjoint(LinearMultiple(self, 1 + 1e-8))


class HStaysPut(Sound):
    @property
    def H(self) -> Adjoint:
        return self  # type: ignore[return-value]


class TakesAnyTensor(Sound):
    def with_tensors(self, tensors: dict[str, Tensor]) -> TakesAnyTensor:
        return self.to(self.matrix.device) if tensors else self


class KeepsNamesSecret(Sound):
    """A composition would not know that the matrix can be put in."""

    def with_tensors(self, tensors: dict[str, Tensor]) -> KeepsNamesSecret:
        if set(tensors) != {"matrix"}:
            return super().with_tensors(tensors)
        twin = KeepsNamesSecret(self.domain.dtype)
        twin.matrix = tensors["matrix"]
        return twin


class ChangesWithoutTensors(Sound):
    tensor_names = frozenset({"matrix"})

    def with_tensors(self, tensors: dict[str, Tensor]) -> LinearOperator:  # type: ignore[override]
        return super().with_tensors(tensors) * 1.001


class PlainTensor(Sound):
    """The matrix would stay where it is when the operator moves."""

    def __init__(self, dtype: torch.dtype = torch.complex128, rows: int = ROWS) -> None:
        super().__init__(dtype, rows)
        self.plain = self.matrix.clone()

    def evaluate(self, u: Tensor) -> Tensor:
        return u @ self.plain.to(u.dtype).T


class PartForgetsRows(Sound):
    def restrict(self, rows: tuple[int, ...]) -> LinearOperator:
        part = super().restrict(rows)
        part.row_axis = None
        return part


class PartOfTheWhole(Sound):
    """A part of a part takes its rows from the whole."""

    def restrict(self, rows: tuple[int, ...]) -> LinearOperator:
        part = type(self)(self.domain.dtype, len(rows))
        part.matrix = PartOfTheWhole(self.domain.dtype).matrix[list(rows)]
        return part


class _WrongVmap(torch.autograd.Function):
    generate_vmap_rule = False

    @staticmethod
    def forward(u: Tensor) -> Tensor:
        return u.clone()

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: object, output: object) -> None: ...

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> Tensor:  # noqa: ARG004 - by torch's protocol
        return grad

    @staticmethod
    def jvp(ctx: FunctionCtx, tangent: Tensor) -> Tensor:  # noqa: ARG004 - by torch's protocol
        return tangent.clone()

    @staticmethod
    def vmap(info: object, in_dims: tuple[int], u: Tensor) -> tuple[Tensor, int]:  # noqa: ARG004 - by torch's protocol
        return 1.001 * u, in_dims[0]


class WrongVmap(Sound):
    def evaluate(self, u: Tensor) -> Tensor:
        identity: Tensor = _WrongVmap.apply(u)
        return super().evaluate(identity)


class WrongUnderGrad(Sound):
    """Another operator, where torch.func.grad looks."""

    def evaluate(self, u: Tensor) -> Tensor:
        functorch = torch._C._functorch
        inside = functorch.maybe_current_level() is not None
        if inside and functorch.peek_interpreter_stack().key() == functorch.TransformType.Grad:
            u = 1.001 * u
        return super().evaluate(u)


class LooksAtValues(Sound):
    """Sound, and out of reach of vmap."""

    def evaluate(self, u: Tensor) -> Tensor:
        if not bool(u.detach().isfinite().all()):
            raise DataError("not finite")
        return super().evaluate(u)


class WrongRows(Sound):
    def restrict(self, rows: tuple[int, ...]) -> LinearOperator:
        return super().restrict(tuple(row or 1 for row in rows))


class SortedRows(Sound):
    def restrict(self, rows: tuple[int, ...]) -> LinearOperator:
        return super().restrict(tuple(sorted(rows)))


class WrongLinearisation(Sound):
    def linearise(self, u: Tensor) -> tuple[Tensor, LinearOperator]:
        return self(u), 2 * self


BROKEN_LINEAR: dict[type[Sound], str] = {
    WrongSign: "adjoint: random pairs",
    NotConjugated: "adjoint: random pairs",
    OnePixelOff: "adjoint: random pairs",
    OneEntryOff: "adjoint",
    Affine: "linear over the reals",
    Curved: "linear over the reals",
    AdjointCurved: r"T\* is linear over the reals",
    MixesBatch: "a batch is a stack of singles",
    AdjointMixesBatch: r"T\* of a batch is a stack of singles",
    Mutates: "T leaves its argument alone",
    AdjointMutates: r"T\* leaves its argument alone",
    SinglePrecision: "codomain's shape and type",
    RoundsInside: "linear over the reals",
    ForgetsComplex: "keeps complex complex",
    WrongNorm: "largest singular value",
    Detached: r"autograd backwards is T\*",
    WrongGradient: r"autograd backwards is T\*",
    NoForwardMode: "forward-mode autograd",
    WrongRows: "subsets of rows make the whole T",
    SortedRows: "keeps the order",
    WrongLinearisation: "linearise gives T'",
    Clips: "T scales with its argument",
    AdjointClips: r"T\* scales with its argument",
    WrongH: r"T\.H is T\*",
    HStaysPut: r"T\.H goes from the codomain to the domain",
    TakesAnyTensor: "refuses names that T has not",
    KeepsNamesSecret: "tensor_names says what with_tensors takes",
    ChangesWithoutTensors: "without tensors changes nothing",
    PlainTensor: "every tensor is a buffer.*'plain'",
    PartForgetsRows: "a subset has the rows of the whole",
    PartOfTheWhole: "a subset of a subset",
    WrongVmap: "vmap is a batch",
    WrongUnderGrad: r"func\.grad",
}
