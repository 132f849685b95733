"""Base class of learned iterative models: networks for given images and data, start and scaling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from learnedrecon.schemes.reconstructor import Iterative
from learnedrecon.schemes.scaling import ImageScale

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from learnedrecon.models.like import Like
    from learnedrecon.problem import Problem
    from learnedrecon.schemes.step import Step


class LearnedScheme(Iterative, recorded=False):
    """Base class of learned iterative schemes for the images and data of one kind of operator.

    Args:
        scheme: Step Λ_N ∘ ... ∘ Λ_1.
        like: Images and data that the networks are built for.
        start: Function Problem → u⁰ or a state.
        image_scale: Size c of a typical image value, in its unit.
        prepare: Function Problem → problem, applied before everything else.

    Raises:
        ShapeError: In a call, the problem has other images or data.
    """

    def __init__(
        self,
        scheme: Step[Any],
        like: Like,
        start: Callable[[Problem], Any],
        image_scale: float,
        prepare: Callable[[Problem], Problem] | None = None,
    ) -> None:
        super().__init__(scheme, start, ImageScale(image_scale), prepare)
        self.like = like
        names = (name for name, _ in scheme.named_modules())
        self.sees_data = any(name.endswith("dual_network") for name in names)

    def scaled(self, problem: Problem) -> tuple[Problem, Tensor | float]:
        self.like.require(problem, data=self.sees_data)
        return super().scaled(problem)
