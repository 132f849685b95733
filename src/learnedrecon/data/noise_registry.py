"""Registry of the noise models, and their form in specs."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator

from learnedrecon import specs
from learnedrecon.data.noise import (
    Gaussian,
    GaussianRange,
    Noise,
    NoNoise,
    PoissonCounts,
    PoissonLog,
    RelativeGaussian,
)
from learnedrecon.registry import Registry, itself
from learnedrecon.specs import Entry

NOISES: Registry[Noise] = Registry(
    "noise",
    Noise,  # type: ignore[type-abstract]
    {
        "none": Entry(NoNoise, itself, "data as they are"),
        "gaussian": Entry(Gaussian, itself, "white, of one standard deviation"),
        "gaussian_range": Entry(GaussianRange, itself, "white, of a drawn standard deviation"),
        "relative_gaussian": Entry(RelativeGaussian, itself, "white, relative to mean |y|"),
        "poisson_counts": Entry(PoissonCounts, itself, "photon counts of a transmission"),
        "poisson_log": Entry(PoissonLog, itself, "the logarithm of photon counts"),
    },
)


def _parse(value: Any) -> Noise:  # noqa: ANN401 - whatever a file holds
    return value if isinstance(value, Noise) else specs.named_from_plain(NOISES, value, "noise")


def _dump(noise: Noise) -> dict[str, Any]:
    return specs.named_to_plain(NOISES, noise)


NoiseSpec = Annotated[Noise, PlainValidator(_parse), PlainSerializer(_dump)]
"""A noise model as a field of a spec: plain data hold it with its ``name``."""
