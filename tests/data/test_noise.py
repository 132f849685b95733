from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from scipy import stats

from learnedrecon.data.noise import (
    Gaussian,
    NoNoise,
    PoissonCounts,
    PoissonLog,
    RelativeGaussian,
    sample_generator,
)
from learnedrecon.errors import ConfigError, DataError, DtypeError, ShapeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from learnedrecon.data.noise import Noise

MODELS: list[Noise] = [
    NoNoise(),
    Gaussian(0.3),
    RelativeGaussian(0.05),
    PoissonCounts(100.0),
    PoissonLog(100.0),
]
RANDOM = MODELS[1:]
SIGMAS = 4.5  # a correct law misses one such bound in 150 000
N = 200_000


def generators(*indices: int) -> list[torch.Generator]:
    return [sample_generator(11, "train", index) for index in indices]


def clean_batch(batch: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.rand(
        (batch, 1, 5, 7), dtype=dtype, generator=torch.Generator().manual_seed(0)
    ) + torch.arange(batch, dtype=dtype).reshape(batch, 1, 1, 1)


def assert_moments(drawn: torch.Tensor, law: Callable[[int], float]) -> None:
    """Mean and variance within their standard errors; ``law(k)`` is the k-th raw moment."""
    mean, square, cube, fourth = (law(k) for k in (1, 2, 3, 4))
    variance = square - mean**2
    central_fourth = fourth - 4 * mean * cube + 6 * mean**2 * square - 3 * mean**4
    n = drawn.numel()
    assert abs(drawn.mean().item() - mean) < SIGMAS * math.sqrt(variance / n)
    error_of_variance = math.sqrt((central_fourth - variance**2) / n)
    assert abs(drawn.var().item() - variance) < SIGMAS * error_of_variance


def poisson_moment(
    rate: float, value: Callable[[np.ndarray], np.ndarray]
) -> Callable[[int], float]:
    """Raw moments of ``value(counts)`` by summing over all counts that matter."""
    counts = np.arange(0.0, rate + 40 * math.sqrt(rate) + 60)
    weights = stats.poisson.pmf(counts, rate)
    assert abs(weights.sum() - 1) < 1e-11
    return lambda k: float(np.average(value(counts) ** k, weights=weights))


def test_gaussian_is_normal_with_its_sigma() -> None:
    clean = torch.full((1, N), 7.0, dtype=torch.float64)
    noise = (Gaussian(0.3).apply(clean, generators(0)) - clean).numpy().ravel()
    assert stats.kstest(noise / 0.3, stats.norm.cdf).pvalue > 1e-3


def test_complex_gaussian_has_half_of_its_variance_in_each_part() -> None:
    clean = torch.zeros((1, N), dtype=torch.complex128)
    noise = Gaussian(0.3).apply(clean, generators(0)).numpy().ravel()
    for part in (noise.real, noise.imag):
        assert stats.kstest(part / (0.3 / math.sqrt(2)), stats.norm.cdf).pvalue > 1e-3
    assert abs(np.corrcoef(noise.real, noise.imag)[0, 1]) < SIGMAS / math.sqrt(N)


def test_relative_gaussian_takes_its_scale_from_each_sample() -> None:
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(N // 2)
    clean = torch.stack((2.0 * signs, -50.0 * signs))  # means 0: only mean |y| gives 2 and 50
    noise = RelativeGaussian(0.05).apply(clean, generators(0, 1)) - clean
    for sample, scale in zip(noise, (2.0, 50.0), strict=True):
        assert stats.kstest(sample.numpy() / (0.05 * scale), stats.norm.cdf).pvalue > 1e-3


def test_relative_gaussian_is_homogeneous() -> None:
    clean = clean_batch(3)
    noisy = RelativeGaussian(0.05).apply(clean, generators(0, 1, 2))
    scaled = RelativeGaussian(0.05).apply(1000.0 * clean, generators(0, 1, 2))
    torch.testing.assert_close(scaled, 1000.0 * noisy, rtol=1e-13, atol=0)


@pytest.mark.parametrize("transmission", [1e-3, 0.2, 1.0, 1.5])
def test_poisson_counts_has_the_moments_of_its_law(transmission: float) -> None:
    clean = torch.full((1, N), transmission, dtype=torch.float64)
    drawn = PoissonCounts(40.0).apply(clean, generators(0))
    counts = 40.0 * drawn
    torch.testing.assert_close(counts, counts.round(), rtol=0, atol=1e-12)
    assert_moments(drawn, poisson_moment(40.0 * transmission, lambda c: c / 40.0))


def test_no_light_gives_no_counts() -> None:
    assert not PoissonCounts(40.0).apply(torch.zeros(1, 100), generators(0)).any()


@pytest.mark.parametrize(
    ("photons", "y"), [(20.0, 3.0), (4096.0, 0.0), (4096.0, 6.0), (10.0, -1.0)]
)
def test_poisson_log_has_the_moments_of_its_law(photons: float, y: float) -> None:
    clean = torch.full((1, N), y, dtype=torch.float64)
    drawn = PoissonLog(photons).apply(clean, generators(0))
    rate = photons * math.exp(-y)
    assert_moments(
        drawn, poisson_moment(rate, lambda c: -np.log(np.where(c == 0, 0.1, c) / photons))
    )


def test_zero_counts_become_the_minimal_count() -> None:
    drawn = PoissonLog(4096.0, min_count=0.25).apply(
        torch.full((1, 50), 60.0, dtype=torch.float64), generators(0)
    )
    expected = torch.full((1, 50), math.log(4096.0 / 0.25), dtype=torch.float64)
    torch.testing.assert_close(drawn, expected, rtol=1e-15, atol=0)


def test_no_noise_copies() -> None:
    clean = clean_batch(2)
    noisy = NoNoise().apply(clean, generators(0, 1))
    assert torch.equal(noisy, clean)
    assert noisy.data_ptr() != clean.data_ptr()


@pytest.mark.parametrize("noise", MODELS, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_sample_does_not_depend_on_its_batch(noise: Noise, dtype: torch.dtype) -> None:
    clean = clean_batch(4, dtype)
    together = noise.apply(clean, generators(0, 1, 2, 3))
    assert together.dtype == dtype
    order = [3, 1, 0, 2]
    assert torch.equal(noise.apply(clean[order], generators(*order)), together[order])
    for i in range(4):
        assert torch.equal(noise.apply(clean[i : i + 1], generators(i)), together[i : i + 1])


@pytest.mark.parametrize("noise", RANDOM, ids=repr)
def test_samples_and_repetitions_differ(noise: Noise) -> None:
    clean = clean_batch(1).expand(2, -1, -1, -1)
    streams = generators(0, 1)
    first = noise.apply(clean, streams)
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(noise.apply(clean, streams), first)


@pytest.mark.parametrize("noise", MODELS, ids=repr)
def test_clean_data_are_not_changed(noise: Noise) -> None:
    clean = clean_batch(2)
    noise.apply(clean, generators(0, 1))
    assert torch.equal(clean, clean_batch(2))


@pytest.mark.parametrize("noise", MODELS, ids=repr)
def test_an_empty_batch_stays_empty(noise: Noise) -> None:
    assert noise.apply(torch.zeros(0, 3), []).shape == (0, 3)


def test_streams_of_splits_seeds_and_indices_differ() -> None:
    draws = {
        torch.rand(2, generator=sample_generator(seed, split, index)).numpy().tobytes()
        for seed in (0, 1)
        for split in ("train", "validation", "test")
        for index in range(5)
    }
    assert len(draws) == 30


@pytest.mark.parametrize("noise", MODELS, ids=repr)
def test_not_a_number_is_named(noise: Noise) -> None:
    clean = clean_batch(3)
    clean[1, 0, 2, 4] = math.nan
    clean[2, 0, 0, 0] = math.inf
    with pytest.raises(DataError, match=r"2 of 105 .* nan in sample 1 at \(0, 2, 4\)"):
        noise.apply(clean, generators(0, 1, 2))


@pytest.mark.parametrize("noise", MODELS, ids=repr)
def test_the_number_of_generators_must_fit(noise: Noise) -> None:
    with pytest.raises(ShapeError, match=r"\(3, 1, 5, 7\) and 2 generators"):
        noise.apply(clean_batch(3), generators(0, 1))
    with pytest.raises(ShapeError, match=r"shape \(\)"):
        noise.apply(torch.tensor(1.0), generators(0))


def test_values_outside_the_model_are_named() -> None:
    with pytest.raises(DataError, match=r"not negative.* -0\.5 in sample 0 at \(1,\)"):
        PoissonCounts(10.0).apply(torch.tensor([[0.5, -0.5]]), generators(0))
    with pytest.raises(DataError, match="expected counts"):
        PoissonCounts(1e9).apply(torch.tensor([[1.0, 3.0]]), generators(0))
    with pytest.raises(DataError, match="line integrals of at least"):
        PoissonLog(4096.0).apply(torch.tensor([[1.0, -200.0]]), generators(0))


def test_wrong_types_are_named() -> None:
    for noise in (PoissonCounts(10.0), PoissonLog(10.0)):
        with pytest.raises(DtypeError, match="complex64"):
            noise.apply(torch.ones(1, 3, dtype=torch.complex64), generators(0))
    for dtype in (torch.int64, torch.float16):
        with pytest.raises(DtypeError, match=str(dtype)):
            Gaussian(1.0).apply(torch.ones(1, 3, dtype=dtype), generators(0))


def test_generators_elsewhere_are_named() -> None:
    with pytest.raises(DataError, match="on the device of the data, meta"):
        Gaussian(1.0).apply(torch.ones(1, 3, device="meta"), generators(0))


@pytest.mark.parametrize("wrong", [-1.0, math.nan, math.inf])
def test_parameters_are_checked(wrong: float) -> None:
    for build in (Gaussian, RelativeGaussian, PoissonCounts, PoissonLog):
        with pytest.raises(ConfigError, match=str(wrong)):
            build(wrong)
    with pytest.raises(ConfigError, match="min_count"):
        PoissonLog(100.0, min_count=wrong)


def test_zero_is_a_sigma_but_no_number_of_photons() -> None:
    clean = clean_batch(1)
    assert torch.equal(Gaussian(0.0).apply(clean, generators(0)), clean)
    assert torch.equal(RelativeGaussian(0.0).apply(clean, generators(0)), clean)
    for build in (PoissonCounts, PoissonLog):
        with pytest.raises(ConfigError, match="photons"):
            build(0.0)


@pytest.mark.parametrize("noise", MODELS, ids=repr)
def test_models_survive_a_config(noise: Noise) -> None:
    adapter = TypeAdapter(type(noise))
    fields = dataclasses.asdict(noise)  # type: ignore[call-overload] # every model is a dataclass
    assert adapter.validate_python(fields) == noise
    assert adapter.validate_json(adapter.dump_json(noise)) == noise


def test_a_config_with_negative_photons_is_refused() -> None:
    with pytest.raises(ValidationError, match="photons = -5"):
        TypeAdapter(PoissonLog).validate_python({"photons": -5})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("noise", MODELS, ids=repr)
def test_a_sample_does_not_depend_on_its_batch_on_cuda(noise: Noise) -> None:
    clean = clean_batch(4, torch.float32).cuda()

    def draw(*indices: int) -> torch.Tensor:
        streams = [sample_generator(11, "train", index, "cuda") for index in indices]
        return noise.apply(clean[list(indices)], streams)

    together = draw(0, 1, 2, 3)
    assert together.device == clean.device
    assert torch.equal(draw(2), together[2:3])
    assert torch.equal(draw(3, 0), together[[3, 0]])
