"""Stopped and resumed is the same as never stopped, bit for bit."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest
import torch

from learnedrecon.training.losses import SquaredError
from learnedrecon.training.tensorfile import read_tensors

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from learnedrecon.data.batch import Batch
    from learnedrecon.schemes.reconstructor import Estimate


class StopAt:
    """The squared error, during whose evaluation number ``call`` ctrl-C is pressed."""

    def __init__(self, call: int, number: signal.Signals = signal.SIGINT) -> None:
        self.calls = 0
        self.call = call
        self.number = number

    def __call__(self, estimate: Estimate, batch: Batch) -> torch.Tensor:
        self.calls += 1
        if self.calls == self.call:
            signal.raise_signal(self.number)
        return SquaredError()(estimate, batch)


def records(path: Path) -> list[dict[str, Any]]:
    lines = (path / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def assert_same_run(one: Path, other: Path) -> None:
    assert records(one) == records(other)
    for name in ("last", "best"):
        a, content_a = read_tensors(one / "checkpoints" / f"{name}.safetensors")
        b, content_b = read_tensors(other / "checkpoints" / f"{name}.safetensors")
        assert content_a == content_b
        assert a.keys() == b.keys()
        different = [key for key in a if not torch.equal(a[key], b[key])]
        assert not different


@pytest.mark.parametrize("stop", [1, 4, 5, 8])
def test_k_steps_a_stop_and_k_steps_more_are_2k_steps(
    tiny: ModuleType, tmp_path: Path, stop: int
) -> None:
    spec = tiny.spec_of(12)
    whole = tiny.fit(tmp_path / "whole", spec)
    assert not whole.interrupted
    assert whole.step == 12
    first = tiny.fit(tmp_path / "parts", spec, loss=StopAt(2 * stop - 1))
    assert first.interrupted
    assert first.step == stop
    torch.rand(17)
    second = tiny.fit(tmp_path / "parts", spec)
    assert second == whole
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
