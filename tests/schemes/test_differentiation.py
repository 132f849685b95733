"""Ways to differentiate chosen by name, and the methods that have none to choose."""

from __future__ import annotations

from typing import Any

import pytest

from learnedrecon.errors import ConfigError
from learnedrecon.models.classical import FBP
from learnedrecon.models.equilibrium import EquilibriumGradient
from learnedrecon.models.invertible_primal_dual import InvertiblePrimalDual
from learnedrecon.models.learned_gradient import LearnedGradient
from learnedrecon.models.learned_primal_dual import LearnedPrimalDual
from learnedrecon.schemes.backward import Backprop, Backward, Checkpointed
from learnedrecon.schemes.differentiation import set_backward
from learnedrecon.schemes.iterations import model_with_iterations
from learnedrecon.schemes.reconstructor import Iterative
from learnedrecon.schemes.reversible import Reversible


def mode(model: Iterative) -> Any:
    return model.scheme.backward_mode


@pytest.mark.parametrize(
    ("name", "every", "expected"),
    [
        ("auto", None, Reversible()),
        ("backprop", None, Backprop()),
        ("checkpointed", None, Checkpointed(1)),
        ("checkpointed", 3, Checkpointed(3)),
        ("reversible", None, Reversible()),
    ],
)
def test_a_name_sets_the_way(name: Any, every: int | None, expected: Backward) -> None:
    model = InvertiblePrimalDual(2, 4)
    set_backward(model, name, every)
    assert mode(model) == expected
    longer = model_with_iterations(InvertiblePrimalDual(2, 4), 5)
    set_backward(longer, name, every)
    assert mode(longer) == expected


def test_repeated_steps_are_set_too() -> None:
    model = LearnedGradient(2, 1, 4)
    set_backward(model, "checkpointed", 2)
    assert mode(model) == Checkpointed(2)


@pytest.mark.parametrize(
    ("model", "name", "every", "words"),
    [
        (LearnedPrimalDual(2, hidden=4), "reversible", None, "PrimalDualStep, which has no inv"),
        (LearnedPrimalDual(2, hidden=4), "magic", None, "one of auto, backprop.*'magic'"),
        (LearnedPrimalDual(2, hidden=4), "auto", 2, "only with backward='checkpointed'"),
        (LearnedPrimalDual(2, hidden=4), "backprop", 2, "only with backward='checkpointed'"),
        (LearnedPrimalDual(2, hidden=4), "checkpointed", 0, "every >= 1"),
        (EquilibriumGradient(), "backprop", None, "a Chain or a Repeat.*with a FixedPoint"),
        (FBP(), "checkpointed", None, "a Chain or a Repeat.*Found FBP"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    model: Any,
    name: Any,
    every: int | None,
    words: str,
) -> None:
    before = mode(model) if isinstance(model, Iterative) else None
    with pytest.raises(ConfigError, match=words):
        set_backward(model, name, every)
    assert (mode(model) if isinstance(model, Iterative) else None) == before
    set_backward(model, "auto")
