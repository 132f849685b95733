"""What the learned iterative models share: their images and data, their start and their scale."""

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
    """An iterative scheme for the images and data of one kind of operator.

    Args:
        scheme: Λ_N ∘ ... ∘ Λ_1.
        like: The images and data that its networks are built for.
        start: Problem → u⁰ or a state.
        image_scale: c, the size of a typical image value, in its unit.
        prepare: Problem → problem, before everything else.

    Raises:
        ShapeError: On a call, a problem of other images or data.
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
