"""How a batch ended, in one sentence."""

from __future__ import annotations

import pytest
import torch

from learnedrecon.solvers.result import describe_end

STOPPED = (
    "samples stopped after 7 iterations, with a gap 3.0e-03 (asked for 1.0e-02). Allow more "
    "iterations, or a larger gap."
)


@pytest.mark.parametrize(
    ("converged", "sentence"),
    [
        ([True, True], "Converged in at most 7 iterations to a gap 3.0e-03 (asked for 1.0e-02)."),
        ([True, False], f"Not converged: 1 of 2 {STOPPED}"),
        ([], "Nothing to do: the batch is empty."),
    ],
)
def test_the_sentence(converged: list[bool], sentence: str) -> None:
    """The worst of the samples, and how many have failed."""
    number = len(converged)
    reached = torch.tensor([3e-3, 1e-3][:number])
    iterations = torch.tensor([2, 7][:number])
    flags = torch.tensor(converged, dtype=torch.bool)
    assert describe_end(flags, reached, iterations, 1e-2, "gap") == sentence
