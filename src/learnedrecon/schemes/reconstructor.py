"""From a problem to an image: the interface of every method, and the learned iterative ones."""

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
    """What a reconstruction returns.

    Attributes:
        image: (batch, channel, *domain.shape).
        variance: of the image, of the same shape, or None.
        status: how a solver ended, one text per batch, or None where nothing was solved.
        extra: further results by name, such as coil maps.
    """

    image: Tensor
    variance: Tensor | None = None
    status: str | None = None
    extra: Mapping[str, Tensor] = MappingProxyType({})


class Reconstructor(Recorded, nn.Module, ABC, recorded=False):
    """Problem → Estimate: learned or not, iterative or not.

    The arguments of a subclass are recorded in ``spec``, from which configurations and weights
    files build it again; see :class:`learnedrecon.recorded.Recorded`.

    Attributes:
        spec: The arguments, a frozen dataclass; None where they are not recorded.
        draws: Random integers that every problem must bring.
        tunable: The argument of a method without weights that data choose, or None.
    """

    draws: int = 0
    tunable: ClassVar[Tunable | None] = None

    @property
    def image_scale(self) -> float | None:
        """The size of a typical image that the weights are for, in its unit; None for any."""
        return None

    @abstractmethod
    def forward(self, problem: Problem) -> Estimate:
        """The reconstruction of one batch."""

    def iterates(self, problem: Problem) -> Iterator[Estimate]:
        """An estimate after every step; methods without steps yield their result."""
        yield self(problem)

    def diagnostics(self, problem: Problem | None = None) -> dict[str, float]:  # noqa: ARG002
        """Numbers for a training log that say how far a result can be trusted.

        Args:
            problem: a batch to measure on what the last call does not tell, which may take as long
                as a reconstruction; None for what is known from the last call.

        Returns:
            By name; nothing for methods that have nothing to say.
        """
        return {}

    def require_precision(self, problem: Problem) -> None:
        """Refuses data of another precision than the weights; learned methods call this first.

        Operators work in the precision of what they are given and networks in that of their
        weights, so that one of the two has to be chosen. float16 and bfloat16 data count as
        float32, to which operators lift them; complex numbers count by their parts.

        Raises:
            DtypeError: no parameter has the precision of the data.
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
    """u = c · image((Λ_N ∘ ... ∘ Λ_1)(u⁰)), every learned iterative scheme.

    Args:
        scheme: Λ_N ∘ ... ∘ Λ_1, (state, problem) → state.
        start: Problem → u⁰, an image that :meth:`Step.begin` puts into a state, or a state.
            A module or a frozen dataclass can be pickled with the method.
        scaling: Problem → (problem, c).
        prepare: Problem → problem, before everything else; such as a fixed R that belongs to the
            scheme, or a network that makes part of T.

    Raises:
        DtypeError: On a call, data of another precision than the weights.
        ConfigError: On a call, a start that gives neither an image nor a state of the scheme.
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
        """The same start and scaling around another scheme, such as ``chain[:k]``."""
        return Iterative(scheme, self.start, self.scaling, self.prepare)

    def initial(self, problem: Problem) -> Any:  # noqa: ANN401 - the state of the scheme
        """The state that the scheme begins with, for a problem that has been scaled."""
        begun = self.start(problem)
        if isinstance(begun, Tensor):
            return self.scheme.begin(begun, problem)
        require_state(self.scheme, begun)
        return begun

    def forward(self, problem: Problem) -> Estimate:
        scaled, c = self.scaled(problem)
        state = self.scheme(self.initial(scaled), scaled)
        return Estimate(c * self.scheme.image(state))

    def iterates(self, problem: Problem) -> Iterator[Estimate]:
        scaled, c = self.scaled(problem)
        for state in self.scheme.iterates(self.initial(scaled), scaled):
            yield Estimate(c * self.scheme.image(state))

    def diagnostics(self, problem: Problem | None = None) -> dict[str, float]:
        """How the fixed points of the last call ended, and whether the scheme can be undone.

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
        """What the scheme works on, and c, which its image is multiplied by."""
        self.require_precision(problem)
        return self.scaling(problem if self.prepare is None else self.prepare(problem))
