"""Samples on the CPU, and batches on a device with the operators that their samples share."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from learnedrecon import specs
from learnedrecon.data.simulate import Simulation, Simulator
from learnedrecon.errors import DataError, ShapeError, describe, require
from learnedrecon.functionals.fidelities import LeastSquares
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.problem import InverseProblem, Problem

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from learnedrecon.functionals.base import Fidelity, Regulariser
    from learnedrecon.operators.base import Operator
    from learnedrecon.operators.space import Space
    from learnedrecon.recorded import Record


class Sample(NamedTuple):
    """One item of a dataset: tensors on the CPU, without an operator.

    Attributes:
        id: Name of the sample within its dataset, which is also a seed of its noise.
        data: Data y, (channel, *codomain), or None where they are simulated from the truth.
        truth: True image u, (channel, *domain), or None where it is not known.
        label: Label for a task, or None.
        tensors: Per-sample tensors of the operator as (name, tensor), such as mask and maps.
        spec: Spec of this sample's operator where it differs from the dataset's, or None.
    """

    id: str
    data: Tensor | None
    truth: Tensor | None
    label: Tensor | None = None
    tensors: tuple[tuple[str, Tensor], ...] = ()
    spec: Any = None

    @property
    def bucket(self) -> Hashable:
        """A key of samples that can share a batch: same operator, same shapes."""
        return (
            self.spec,
            None if self.data is None else tuple(self.data.shape),
            None if self.truth is None else tuple(self.truth.shape),
        )


class Batch(NamedTuple):
    """A batch for a training step or an evaluation, on its device.

    Attributes:
        problem: Problem y = T(u) + noise of the whole batch.
        truth: True images (batch, channel, *domain), or None.
        label: Labels (batch, ...), or None.
        ids: Names of the samples.
    """

    problem: Problem
    truth: Tensor | None
    label: Tensor | None
    ids: tuple[str, ...]


class BatchBuilder:
    """A function from samples to a batch: it stacks, simulates, and puts per-sample tensors into T.

    Args:
        operator: T of every sample without a spec of its own; moved to ``device``.
        spec: Spec of that operator, needed where data are simulated on another grid, or None.
        measurement: Simulation of the data of samples without data, or None.
        fidelity: Data term D of the problems; least squares if None.
        regulariser: Fixed R of the problems, or None.
        device: Device of the batches.
        cache: Number of operators of samples' own specs that are cached; the least recently used
            one is removed first.
    """

    def __init__(
        self,
        operator: Operator,
        *,
        spec: Record = None,
        measurement: Simulation | None = None,
        fidelity: Fidelity | None = None,
        regulariser: Regulariser | None = None,
        device: torch.device | str = "cpu",
        cache: int = 8,
    ) -> None:
        self.device = torch.device(device)
        self.measurement = measurement
        self.fidelity = (fidelity if fidelity is not None else LeastSquares()).to(self.device)
        self.regulariser = None if regulariser is None else regulariser.to(self.device)
        self.cache = cache
        self.spec = spec
        self._own = self._on_device(operator, spec)
        self._others: OrderedDict[Any, _OnDevice] = OrderedDict()

    @property
    def operator(self) -> Operator:
        """T on the device, of the samples that bring none of their own."""
        return self._own.operator

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """One batch of samples that share a bucket.

        Raises:
            DataError: no samples; data, truth or label for some samples only; unequal operators; or
                neither data nor a way to simulate them.
            ShapeError: samples of unequal shapes, or a sample that does not fit its operator.
        """
        _require(len(samples) > 0, "at least one sample", "none", "give some samples")
        bench = self._bench_for(samples)
        ids = tuple(sample.id for sample in samples)
        truth = self._stacked("truth", ids, [sample.truth for sample in samples])
        data = self._stacked("data", ids, [sample.data for sample in samples])
        label = self._stacked("label", ids, [sample.label for sample in samples])
        if truth is not None:
            check_fit(tuple(truth.shape[1:]), bench.operator.domain, "truth", ids[0])
        if data is not None:
            check_fit(tuple(data.shape[1:]), bench.operator.codomain, "data", ids[0])
        tensors = self._tensors(samples, ids)
        if data is None:
            data = _simulated(bench.simulator, truth, ids, tensors)
        operator = bench.operator.with_tensors(tensors)
        problem = InverseProblem(operator, data, self.fidelity, self.regulariser)
        return Batch(problem, truth, label, ids)

    def _bench_for(self, samples: Sequence[Sample]) -> _OnDevice:
        spec = samples[0].spec
        other = next((sample for sample in samples if sample.spec != spec), None)
        if other is not None:
            raise DataError(
                describe(
                    expected="samples of one operator in a batch",
                    found=f"'{samples[0].id}' and '{other.id}' with different ones",
                    fix="let a Loader group the samples, or build one batch for each operator",
                )
            )
        if spec is None or spec == self.spec:
            return self._own
        if spec not in self._others:
            self._others[spec] = self._on_device(specs.build(OPERATORS, spec), spec)
        self._others.move_to_end(spec)
        while len(self._others) > max(self.cache, 1):
            self._others.popitem(last=False)
        return self._others[spec]

    def _on_device(self, operator: Operator, spec: Record) -> _OnDevice:
        operator = operator.to(self.device)
        if self.measurement is None:
            return _OnDevice(operator, None)
        return _OnDevice(operator, Simulator(self.measurement, operator, spec))

    def _stacked(
        self, what: str, ids: Sequence[str], tensors: Sequence[Tensor | None]
    ) -> Tensor | None:
        there = [tensor for tensor in tensors if tensor is not None]
        if not there:
            return None
        if len(there) < len(tensors):
            without = next(
                name for name, tensor in zip(ids, tensors, strict=True) if tensor is None
            )
            raise DataError(
                describe(
                    expected=f"{what} for every sample of a batch, or for none",
                    found=f"'{without}' without, among {len(there)} of {len(ids)} with",
                    fix="batch samples with and without it separately, as a Loader does",
                )
            )
        for name, tensor in zip(ids, there, strict=True):
            if tensor.shape != there[0].shape:
                raise ShapeError(
                    describe(
                        expected=f"{what} of one shape, {tuple(there[0].shape)} as in '{ids[0]}'",
                        found=f"{tuple(tensor.shape)} in '{name}'",
                        fix="let a Loader group the samples, and give samples of other shapes "
                        "their own operator spec",
                    )
                )
        return torch.stack(there).to(self.device)

    def _tensors(self, samples: Sequence[Sample], ids: Sequence[str]) -> dict[str, Tensor]:
        tables = [dict(sample.tensors) for sample in samples]
        names = {name: None for table in tables for name in table}
        stacked = {
            name: self._stacked(f"operator tensor '{name}'", ids, [t.get(name) for t in tables])
            for name in names
        }
        return {name: tensor for name, tensor in stacked.items() if tensor is not None}


class _OnDevice(NamedTuple):
    """An operator on the device, and what makes data with it."""

    operator: Operator
    simulator: Simulator | None


def _simulated(
    simulator: Simulator | None,
    truth: Tensor | None,
    ids: Sequence[str],
    tensors: Mapping[str, Tensor],
) -> Tensor:
    if simulator is None or truth is None:
        missing = "no true image" if truth is None else "no way to simulate"
        raise DataError(
            describe(
                expected=f"data of sample '{ids[0]}', or a true image and a Simulation",
                found=f"no data and {missing}",
                fix="add measurements to the dataset, or give the BatchBuilder a measurement",
            )
        )
    return simulator(truth, ids, tensors)


def check_fit(shape: tuple[int, ...], space: Space, what: str, sample: str) -> None:
    """Check that a sample fits its operator.

    Args:
        shape: Shape of the data or truth, with the channel axis.
        space: Space of the axes after the channel axis.
        what: Kind of tensor, "data" or "truth".
        sample: Name of the sample.

    Raises:
        ShapeError: The shapes differ; the message shows both.
    """
    if len(shape) != space.ndim + 1 or shape[1:] != space.shape:
        axes = ", ".join(map(str, space.shape))
        raise ShapeError(
            describe(
                expected=f"{what} of sample '{sample}' with shape (channel, {axes}), "
                "which its operator has",
                found=f"shape {shape}",
                fix="correct the geometry, or give the sample an operator of its own (for a folder "
                "of pairs: image_shapes 'each', or a geometry file)",
            )
        )


def _require(condition: object, expected: str, found: str, fix: str) -> None:
    require(condition, DataError, expected=expected, found=found, fix=fix)
