"""Reconstruction methods: the interface of all, and learned iterative schemes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from learnedrecon.compiling import real_of
from learnedrecon.errors import DtypeError, describe
from learnedrecon.recorded import Recorded
from learnedrecon.schemes.invertible import inversion_error
from learnedrecon.schemes.reversible import Reversible
from learnedrecon.schemes.step import Step, require_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from learnedrecon.problem import Problem
    from learnedrecon.schemes.scaling import Scaling
    from learnedrecon.schemes.tunable import Tunable


class Estimate(NamedTuple):
    """The result of a reconstruction.

    Attributes:
        image: Images, (batch, channel, *domain.shape).
        variance: Pointwise variance of the image, of the same shape, or None.
        status: Outcome of a solver, one text per batch, or None where nothing was solved.
        extra: Further results by name, such as coil maps.
    """

    image: Tensor
    variance: Tensor | None = None
    status: str | None = None
    extra: Mapping[str, Tensor] = MappingProxyType({})


class Reconstructor(Recorded, nn.Module, ABC, recorded=False):
    """Base class of reconstruction methods, Problem → Estimate: learned or not, iterative or not.

    The arguments of a subclass are recorded in ``spec``, from which configurations and weights
    files build it again; see :class:`learnedrecon.recorded.Recorded`.

    Attributes:
        spec: Constructor arguments, a frozen dataclass; None where they are not recorded.
        draws: Number of random integers that every problem must bring.
        tunable: Argument of a method without weights that data choose, or None.
    """

    draws: int = 0
    tunable: ClassVar[Tunable | None] = None

    @property
    def image_scale(self) -> float | None:
        """The size of a typical image for these weights, in the unit of the image; None for any."""
        return None

    @abstractmethod
    def forward(self, problem: Problem) -> Estimate:
        """The reconstruction of one batch."""

    def iterates(self, problem: Problem) -> Iterator[Estimate]:
        """An estimate after every step; methods without steps yield their result."""
        yield self(problem)

    def diagnostics(self, problem: Problem | None = None) -> dict[str, float]:  # noqa: ARG002 - what other classes look at
        """Numbers for a training log that show how accurate a result is.

        Args:
            problem: Batch on which to measure what the last call does not show, which may take as
                long as a reconstruction; None for what is known from the last call.

        Returns:
            Numbers by name, possibly none.
        """
        return {}

    def require_precision(self, problem: Problem) -> None:
        """Check that data have the precision of the weights; learned methods call it first.

        Operators work in the precision of their argument and networks in that of their weights, so
        that the two must agree. float16 and bfloat16 data count as float32, to which operators
        convert them; complex numbers have the precision of their parts.

        Raises:
            DtypeError: No parameter has the precision of the data.
        """
        data = real_of(problem.data.dtype)
        data = torch.float32 if data.itemsize < 4 else data
        weights = {real_of(p.dtype) for p in self.parameters() if _is_inexact(p)}
        if weights and data not in weights:
            names = " or ".join(sorted(_name(dtype) for dtype in weights))
            raise DtypeError(
                describe(
                    expected=f"data of the weights' precision, {names}",
                    found=_name(data),
                    fix="convert the data by data.float() or the model by model.double()"
                    if data == torch.float64
                    else f"convert the model by model.to(torch.{_name(data)}) or the data",
                )
            )


def _is_inexact(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


class Iterative(Reconstructor, recorded=False):
    """Learned iterative schemes u = c · image((Λ_N ∘ ... ∘ Λ_1)(u⁰)).

    Args:
        scheme: Λ_N ∘ ... ∘ Λ_1, a step (state, problem) → state.
        start: Function Problem → u⁰, an image that :meth:`Step.begin` puts into a state, or a
            state. A module or a frozen dataclass can be pickled with the method.
        scaling: Function Problem → (problem, c).
        prepare: Function Problem → problem, applied before everything else; such as a fixed R that
            belongs to the scheme, or a network that is part of T.

    Raises:
        DtypeError: In a call, data have another precision than the weights.
        ConfigError: In a call, the start returns neither an image nor a state of the scheme.
    """

    def __init__(
        self,
        scheme: Step[Any],
        start: Callable[[Problem], Any],
        scaling: Scaling,
        prepare: Callable[[Problem], Problem] | None = None,
    ) -> None:
        super().__init__()
        self.scheme = scheme
        self.start = start
        self.scaling = scaling
        self.prepare = prepare

    @property
    def image_scale(self) -> float | None:
        return self.scaling.image_scale

    def with_scheme(self, scheme: Step[Any]) -> Iterative:
        """A method with the same start and scaling around another scheme, such as ``chain[:k]``."""
        return Iterative(scheme, self.start, self.scaling, self.prepare)

    def initial(self, problem: Problem) -> Any:  # noqa: ANN401 - the state of the scheme
        """The initial state of the scheme, for a problem that has been scaled."""
        begun = self.start(problem)
        if isinstance(begun, Tensor):
            return self.scheme.begin(begun, problem)
        require_state(self.scheme, begun)
        return begun

    def forward(self, problem: Problem) -> Estimate:
        scaled, c = self.scaled(problem)
        state = self.scheme(self.initial(scaled), scaled)
        return self._estimate(state, c)

    def iterates(self, problem: Problem) -> Iterator[Estimate]:
        scaled, c = self.scaled(problem)
        for state in self.scheme.iterates(self.initial(scaled), scaled):
            yield self._estimate(state, c)

    def _estimate(self, state: Any, c: Tensor | float) -> Estimate:  # noqa: ANN401 - of the scheme
        return Estimate(c * self.scheme.image(state), extra=self.scheme.extra(state))

    def diagnostics(self, problem: Problem | None = None) -> dict[str, float]:
        """Convergence of the fixed points of the last call, and the inversion error of the scheme.

        Returns:
            The ``diagnostics`` of every step, by the path within the scheme; with a problem also
            :func:`inversion_error` where the scheme is :class:`Reversible`.
        """
        found = {
            f"{path}.{name}" if path else name: value
            for path, module in self.scheme.named_modules()
            if isinstance(module, Step)
            for name, value in module.diagnostics().items()
        }
        if problem is not None and isinstance(self._mode(), Reversible):
            scaled, _ = self.scaled(problem)
            found["inversion_error"] = inversion_error(self.scheme, self.initial(scaled), scaled)
        return found

    def _mode(self) -> object:
        return getattr(self.scheme, "backward_mode", None)

    def scaled(self, problem: Problem) -> tuple[Problem, Tensor | float]:
        """The scaled problem of the scheme, and the factor c of its image."""
        self.require_precision(problem)
        return self.scaling(problem if self.prepare is None else self.prepare(problem))
