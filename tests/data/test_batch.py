from __future__ import annotations

from typing import Any

import pytest
import torch

from learnedrecon.data.batch import BatchBuilder, Sample
from learnedrecon.data.noise import Gaussian, NoNoise, PoissonCounts
from learnedrecon.data.simulate import Simulation
from learnedrecon.errors import DataError, GeometryError, LearnedReconError, ShapeError
from learnedrecon.functionals.fidelities import KullbackLeibler, LeastSquares
from learnedrecon.functionals.regularisers import Dirichlet
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.grids import with_shape
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.operators.space import Space
from learnedrecon.problem import InverseProblem

SCAN = ParallelBeam((8, 10), AngleRange(4), FlatDetector(13))
NOISELESS = Simulation(NoNoise())


class Masked(LinearOperator):
    """u ↦ mask · u, the smallest operator with a tensor of each sample."""

    mask: torch.Tensor

    def __init__(self, mask: torch.Tensor) -> None:
        super().__init__(Space((3, 4)), Space((3, 4)))
        self.register_buffer("mask", mask)

    def evaluate(self, u: torch.Tensor) -> torch.Tensor:
        return self.mask * u

    def evaluate_adjoint(self, v: torch.Tensor) -> torch.Tensor:
        return self.mask * v

    def with_tensors(self, tensors: dict[str, torch.Tensor]) -> Masked:
        return Masked(tensors["mask"]) if tensors else self


def sample(name: str = "a", **changes: Any) -> Sample:
    seed = sum(map(ord, name))
    truth = torch.rand(1, 8, 10, generator=torch.Generator().manual_seed(seed))
    return Sample(name, torch.full((1, 4, 13), float(seed)), truth)._replace(**changes)


def test_measured_samples_are_stacked_as_they_are() -> None:
    samples = [sample("a", label=torch.tensor([1])), sample("b", label=torch.tensor([2]))]
    regulariser, fidelity = Dirichlet(), KullbackLeibler()
    operator = RayTransform(SCAN)
    batch = BatchBuilder(operator, fidelity=fidelity, regulariser=regulariser)(samples)
    assert batch.ids == ("a", "b")
    assert isinstance(batch.problem, InverseProblem)
    assert batch.problem.operator is operator
    assert batch.problem.fidelity is fidelity
    assert batch.problem.regulariser is regulariser
    assert batch.truth is not None
    assert batch.label is not None
    assert torch.equal(batch.label, torch.tensor([[1], [2]]))
    for place, one in enumerate(samples):
        assert one.data is not None
        assert one.truth is not None
        assert torch.equal(batch.problem.data[place], one.data)
        assert torch.equal(batch.truth[place], one.truth)


def test_a_measurement_without_truth_or_label_is_a_batch() -> None:
    batch = BatchBuilder(RayTransform(SCAN))([sample(truth=None)])
    assert batch.truth is None
    assert batch.label is None
    assert isinstance(batch.problem, InverseProblem)
    assert isinstance(batch.problem.fidelity, LeastSquares)


def test_data_are_simulated_where_there_are_none_and_kept_where_they_are() -> None:
    builder = BatchBuilder(RayTransform(SCAN), measurement=NOISELESS)
    one = sample(data=None)
    assert one.truth is not None
    expected = RayTransform(SCAN)(one.truth[None].double())
    simulated = builder([one]).problem.data.double()
    torch.testing.assert_close(simulated, expected, rtol=1e-5, atol=1e-5)
    kept = sample()
    assert kept.data is not None
    assert torch.equal(builder([kept]).problem.data[0], kept.data)


def test_photon_counts_are_simulated_for_a_nonlinear_operator() -> None:
    spec = Transmission(SCAN, 0.05)
    builder = BatchBuilder(
        TransmissionCT(spec), spec=spec, measurement=Simulation(PoissonCounts(500.0), (16, 20))
    )
    data = builder([sample(data=None), sample("b", data=None)]).problem.data
    assert data.shape == (2, 1, 4, 13)
    torch.testing.assert_close(500 * data, (500 * data).round(), rtol=2.0**-23, atol=0)
    assert 0.5 < float(data.mean()) < 1.0


def test_tensors_of_each_sample_enter_the_operator() -> None:
    shared = torch.ones(3, 4)
    samples = [
        Sample(
            str(k),
            None,
            torch.ones(1, 3, 4),
            tensors=(("mask", torch.full((1, 3, 4), float(k))),),
        )
        for k in range(11)
    ]
    operator = Masked(shared)
    batch = BatchBuilder(operator, measurement=NOISELESS)(samples)
    expected = torch.arange(11.0).reshape(11, 1, 1, 1).expand(11, 1, 3, 4)
    assert torch.equal(batch.problem.data, expected)
    assert torch.equal(batch.problem.forward(torch.ones(11, 1, 3, 4)), expected)
    assert operator.mask is shared


def test_tensors_that_the_operator_does_not_have_are_refused() -> None:
    one = sample(tensors=(("mask", torch.ones(1)),))
    with pytest.raises(GeometryError, match="mask"):
        BatchBuilder(RayTransform(SCAN))([one])


def test_a_sample_may_bring_its_own_operator() -> None:
    other = with_shape(SCAN, (6, 6))
    truth = torch.rand(1, 6, 6)
    builder = BatchBuilder(RayTransform(SCAN), spec=SCAN, measurement=NOISELESS)
    batch = builder([Sample("own", None, truth, spec=other)])
    assert batch.problem.operator.domain.shape == (6, 6)
    torch.testing.assert_close(batch.problem.data, RayTransform(other)(truth[None]))
    equal = builder([sample(spec=SCAN)])
    assert equal.problem.operator is builder([sample()]).problem.operator


def test_only_the_operators_used_last_are_kept() -> None:
    shapes = [(6, 6), (5, 5), (4, 4)]
    samples = [Sample(str(s), None, torch.rand(1, *s), spec=with_shape(SCAN, s)) for s in shapes]
    builder = BatchBuilder(RayTransform(SCAN), measurement=NOISELESS, cache=2)
    first, second = (builder([s]).problem.operator for s in samples[:2])
    assert builder([samples[0]]).problem.operator is first
    builder([samples[2]])
    assert builder([samples[0]]).problem.operator is first
    assert builder([samples[1]]).problem.operator is not second


@pytest.mark.parametrize(
    ("samples", "error", "words"),
    [
        ([], DataError, ["at least one sample"]),
        ([sample("a"), sample("b", truth=None)], DataError, ["truth", "'b'"]),
        ([sample("a"), sample("b", data=None)], DataError, ["data", "'b'"]),
        ([sample("a"), sample("b", label=torch.ones(1))], DataError, ["label", "'a'"]),
        ([sample("a", data=None)], DataError, ["'a'", "no way to simulate"]),
        ([sample("a", data=None, truth=None)], DataError, ["'a'", "no true image"]),
        ([sample("a"), sample("b", spec=with_shape(SCAN, (4, 4)))], DataError, ["'a'", "'b'"]),
        (
            [sample("a"), sample("b", truth=torch.ones(1, 8, 11))],
            ShapeError,
            ["'a'", "'b'", "(1, 8, 10)", "(1, 8, 11)"],
        ),
        (
            [sample("c", truth=torch.ones(1, 9, 9))],
            ShapeError,
            ["truth of sample 'c'", "(channel, 8, 10)", "(1, 9, 9)"],
        ),
        (
            [sample("c", data=torch.ones(1, 13, 4))],
            ShapeError,
            ["data of sample 'c'", "(channel, 4, 13)", "(1, 13, 4)"],
        ),
        ([sample("c", data=torch.ones(4, 13))], ShapeError, ["'c'", "channel", "(4, 13)"]),
    ],
)
def test_samples_that_make_no_batch_are_named(
    samples: list[Sample], error: type[LearnedReconError], words: list[str]
) -> None:
    with pytest.raises(error) as caught:
        BatchBuilder(RayTransform(SCAN))(samples)
    for part in ("Expected ", "Found ", "What to do: ", *words):
        assert part in str(caught.value)


def test_simulation_on_a_grid_follows_the_samples_own_operator() -> None:
    other = with_shape(SCAN, (6, 6))
    builder = BatchBuilder(
        RayTransform(SCAN), spec=SCAN, measurement=Simulation(Gaussian(0.0), (24, 24))
    )
    ones = Sample("own", None, torch.ones(1, 6, 6), spec=other)
    data = builder([ones]).problem.data
    assert float(data.amax()) < 6 * 2**0.5 + 1e-4
    torch.testing.assert_close(
        data.sum() * SCAN.detector.pitch / 4, torch.tensor(36.0), rtol=0.02, atol=0
    )
