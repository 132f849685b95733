"""Scan geometries: plain data and back, limits, shifts, and what they refuse."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from learnedrecon.errors import ConfigError, GeometryError
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.specs import named_from_plain, named_to_plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from learnedrecon.operators.ray.geometry2d import Geometry

ANGLES = (0.1, 0.9, 2.5)
DETECTOR = FlatDetector(9, 1.25, 0.5)
PARALLEL = ParallelBeam((6, 8), ANGLES, DETECTOR, (1.0, 0.5))
FAN = FanBeam((6, 8), AngleRange(4, arc=2 * math.pi), DETECTOR, 30.0, 20.0)
SPECS: list[object] = [PARALLEL, FAN, Transmission(PARALLEL, 0.02), Transmission(FAN)]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: type(spec).__name__)
def test_plain_data_and_back(spec: object) -> None:
    plain = named_to_plain(OPERATORS, spec)
    for text in (yaml.safe_load(yaml.safe_dump(plain)), json.loads(json.dumps(plain))):
        back = named_from_plain(OPERATORS, text)
        assert back == spec
        assert hash(back) == hash(spec)
        assert type(back) is type(spec)


def test_numpy_numbers_become_plain_ones() -> None:
    scan = FanBeam(
        (np.int64(6), np.int32(8)),  # type: ignore[arg-type]
        np.array(ANGLES, dtype=np.float64),  # type: ignore[arg-type]
        FlatDetector(np.int64(9), np.float32(1.25), np.float32(0.5)),  # type: ignore[arg-type]
        np.float32(30.0),  # type: ignore[arg-type]
        np.float64(20.0),
        np.array([1.0, 0.5]),  # type: ignore[arg-type]
    )
    assert scan == FanBeam((6, 8), ANGLES, DETECTOR, 30.0, 20.0, (1.0, 0.5))
    assert named_from_plain(OPERATORS, named_to_plain(OPERATORS, scan)) == scan
    single = ParallelBeam((6, 8), (0.1,), DETECTOR, np.float32(0.5))  # type: ignore[arg-type]
    assert single.pixel == (0.5, 0.5)
    assert type(single.pixel_size) is float


@given(
    number=st.integers(1, 50),
    start=st.floats(-7, 7),
    arc=st.floats(-7, 7).filter(lambda a: abs(a) > 1e-3),
)
@settings(max_examples=25, deadline=None)
def test_angles_are_midpoints_of_equal_parts(number: int, start: float, arc: float) -> None:
    angles = np.array(AngleRange(number, start, arc).values())
    edges = start + arc * np.arange(number + 1) / number
    np.testing.assert_allclose(angles, (edges[1:] + edges[:-1]) / 2, atol=1e-12)


def test_default_angles_cover_half_a_turn() -> None:
    values = AngleRange(30).values()
    assert values[0] == pytest.approx(math.pi / 60)
    assert values[-1] == pytest.approx(math.pi - math.pi / 60)


def sinogram(geometry: Geometry, seed: int = 0) -> torch.Tensor:
    operator = RayTransform(geometry, torch.float64)
    return operator(operator.domain.random(torch.Generator().manual_seed(seed)))


def fan(geometry: ParallelBeam, source: float, behind: float) -> FanBeam:
    """The fan beam whose central part approaches ``geometry`` as the source goes away."""
    factor = (source + behind) / source
    detector = geometry.detector
    magnified = FlatDetector(
        detector.pixels, detector.pitch * factor, detector.axis_offset * factor
    )
    return FanBeam(geometry.shape, geometry.angles, magnified, source, behind, geometry.pixel_size)


def test_fan_beams_tend_to_parallel_beams() -> None:
    expected = sinogram(PARALLEL)
    gaps = [
        float((sinogram(fan(PARALLEL, source, 10.0)) - expected).norm() / expected.norm())
        for source in (1e3, 1e4, 1e5, 1e6)
    ]
    assert gaps[-1] < 1e-4
    for near, far in pairwise(gaps):
        assert near / far == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize("pixels", [1, 3, -2])
@pytest.mark.parametrize("base", [PARALLEL, FAN], ids=["parallel", "fan"])
def test_offset_by_whole_pixels_shifts_the_sinogram(base: Geometry, pixels: int) -> None:
    def with_offset(offset: float) -> Geometry:
        plain = named_to_plain(OPERATORS, base)
        plain["detector"] = {"pixels": 15, "pitch": 1.25, "axis_offset": offset}
        shifted: Geometry = named_from_plain(OPERATORS, plain)
        return shifted

    centred, moved = sinogram(with_offset(0.0)), sinogram(with_offset(1.25 * pixels))
    low, high = max(pixels, 0), 15 + min(pixels, 0)
    torch.testing.assert_close(
        moved[:, low:high], centred[:, low - pixels : high - pixels], rtol=0, atol=1e-12
    )
    assert moved[:, low:high].abs().max() > 1


def test_rows_of_a_geometry_are_its_angles() -> None:
    part = FAN.subset([3, 1])
    assert part.angle_values == (FAN.angle_values[3], FAN.angle_values[1])
    assert part.source_origin == FAN.source_origin
    assert FAN.subset(slice(1, None, 2)).angle_values == FAN.angle_values[1::2]
    with pytest.raises(GeometryError, match=r"each in 0\.\.3"):
        FAN.subset([-1])
    assert PARALLEL.with_angles(AngleRange(2)).data_shape == (2, 9)


def test_magnification_and_radius() -> None:
    assert FAN.magnification == pytest.approx(50 / 30)
    assert PARALLEL.radius == pytest.approx(math.hypot(6.0, 4.0) / 2)


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "no angles": (lambda: ParallelBeam((4, 4), (), DETECTOR), "at least one angle"),
    "nan angle": (lambda: ParallelBeam((4, 4), (math.nan,), DETECTOR), "all finite"),
    "zero range": (lambda: AngleRange(0), "number = 0"),
    "endless arc": (lambda: AngleRange(3, arc=math.inf), "arc = inf"),
    "half an angle": (lambda: AngleRange(2.5), "whole number"),  # type: ignore[arg-type]
    "no pixels": (lambda: FlatDetector(0), "at least 1 pixel"),
    "no pitch": (lambda: FlatDetector(4, 0.0), "pitch > 0"),
    "nan offset": (lambda: FlatDetector(4, 1.0, math.nan), "finite offset"),
    "no image": (lambda: ParallelBeam((0, 4), (0.0,), DETECTOR), "an image shape"),
    "volume": (
        lambda: ParallelBeam((4, 4, 4), (0.0,), DETECTOR),  # type: ignore[arg-type]
        "an image shape",
    ),
    "half a pixel": (
        lambda: ParallelBeam((4.5, 4), (0.0,), DETECTOR),  # type: ignore[arg-type]
        "whole number",
    ),
    "three sizes": (
        lambda: ParallelBeam((4, 4), (0.0,), DETECTOR, (1.0, 1.0, 1.0)),  # type: ignore[arg-type]
        "pixel size",
    ),
    "negative size": (lambda: ParallelBeam((4, 4), (0.0,), DETECTOR, -1.0), "pixel size > 0"),
    "source inside": (lambda: FanBeam((6, 8), (0.0,), DETECTOR, 4.9, 1.0), "radius 5 mm"),
    "source nowhere": (lambda: FanBeam((4, 4), (0.0,), DETECTOR, math.inf, 1.0), "both finite"),
    "detector before": (lambda: FanBeam((4, 4), (0.0,), DETECTOR, 9.0, -1.0), "behind the axis"),
    "degrees, arc": (lambda: AngleRange(180, arc=180.0), r"radians.*math\.radians.*3\.14159"),
    "degrees, start": (lambda: AngleRange(9, start=90.0), r"angles from 90 to 93"),
    "degrees, list": (lambda: ParallelBeam((4, 4), range(0, 180, 20), DETECTOR), "radians"),  # type: ignore[arg-type]
    "degrees, one": (lambda: FanBeam((4, 4), (-45.0,), DETECTOR, 9.0, 1.0), "modulo 2π"),
    "five turns": (lambda: ParallelBeam((4, 4), (-16.0, 16.0), DETECTOR), "8π"),
    "pixels for a detector": (
        lambda: ParallelBeam((8, 8), AngleRange(3), 12),  # type: ignore[arg-type]
        r"a FlatDetector\. Found 12 of type int.*FlatDetector\(pixels, pitch\)",
    ),
    "a number of angles": (
        lambda: ParallelBeam((8, 8), 30, DETECTOR),  # type: ignore[arg-type]
        r"AngleRange\(30\)",
    ),
    "one size": (
        lambda: ParallelBeam(8, AngleRange(3), DETECTOR),  # type: ignore[arg-type]
        r"an image shape \(ny, nx\)\. Found 8 of type int",
    ),
    "attenuation of an operator": (
        lambda: Transmission(RayTransform(PARALLEL), 0.02),  # type: ignore[arg-type]
        r"Transmission\(T\.geometry",
    ),
    "photons of an operator": (
        lambda: TransmissionCT(RayTransform(PARALLEL), 0.02),  # type: ignore[arg-type]
        r"TransmissionCT\(Transmission\(T\.geometry, mu=0\.02\)\)",
    ),
    "text for angles": (
        lambda: ParallelBeam((8, 8), "half a turn", DETECTOR),  # type: ignore[arg-type]
        r"a list of angles in radians.* Found 'half a turn' of type str",
    ),
    "text for an arc": (lambda: AngleRange(3, arc="pi"), "Found 'pi'"),  # type: ignore[arg-type]
    "text for a pitch": (lambda: FlatDetector(3, "1 mm"), "Found '1 mm'"),  # type: ignore[arg-type]
    "text for a size": (
        lambda: ParallelBeam((8, 8), AngleRange(3), DETECTOR, (1.0, "b")),  # type: ignore[arg-type]
        "Found 'b'",
    ),
    "text for an attenuation": (
        lambda: Transmission(PARALLEL, "high"),  # type: ignore[arg-type]
        "Found 'high'",
    ),
    "rays of a shape": (
        lambda: RayTransform((8, 8)),  # type: ignore[arg-type]
        r"RayTransform\(ParallelBeam\(",
    ),
    "no attenuation": (lambda: Transmission(PARALLEL, 0.0), "mu > 0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_refuses(name: str) -> None:
    make, words = WRONG[name]
    with pytest.raises(GeometryError, match=words) as caught:
        make()
    assert "What to do:" in str(caught.value)


@pytest.mark.parametrize("angles", [(-4 * math.pi, 4 * math.pi), (8 * math.pi,), (0.0, 10.0)])
def test_four_turns_are_taken(angles: tuple[float, ...]) -> None:
    assert ParallelBeam((4, 4), angles, DETECTOR).angles == angles
    assert AngleRange(3, arc=-8 * math.pi).arc == -8 * math.pi


def test_the_share_that_the_detector_sees() -> None:
    """A disc of radius 5 mm is 10 mm wide on a parallel detector and twice that in this fan."""

    def seen(pixels: int, offset: float = 0.0, behind: float | None = None) -> float:
        detector = FlatDetector(pixels, 0.5, offset)
        if behind is None:
            return ParallelBeam((6, 8), ANGLES, detector).seen
        return FanBeam((6, 8), ANGLES, detector, 20.0, behind).seen

    assert seen(10) == pytest.approx(0.5)
    assert seen(100) == 1.0
    assert seen(10, offset=4.0) == pytest.approx(0.35)
    assert seen(10, offset=-9.0) == 0.0
    assert seen(10, behind=20.0) == pytest.approx(0.25)


def test_a_detector_that_misses_most_of_the_image_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    narrow = ParallelBeam((6, 8), ANGLES, FlatDetector(17, 0.125, 0.0625))
    with caplog.at_level("WARNING", logger="learnedrecon"):
        RayTransform(ParallelBeam((6, 8), ANGLES, FlatDetector(40, 0.125)))
        assert not caplog.records
        operator = RayTransform(narrow)
        operator.subset([0]).norm()
        RayTransform(narrow, torch.float64)
    (record,) = caplog.records
    message = record.getMessage()
    assert "21 % of the diameter" in message
    assert all(part in message for part in ("Expected", "Found", "What to do"))


def test_a_source_just_outside_the_image_is_taken() -> None:
    assert FanBeam((6, 8), (0.0,), DETECTOR, 5.01, 0.0).radius == 5.0


@pytest.mark.parametrize("angles", [{"number": 12}, "12", 12, [0.0, "x"], np.zeros(())])
def test_an_argument_of_another_kind_is_named(angles: Any) -> None:
    with pytest.raises(GeometryError, match=r"In 'ParallelBeam\.angles': Expected .* What to do:"):
        ParallelBeam((6, 8), angles, DETECTOR)


def test_wrong_values_in_a_file_keep_their_message_and_path() -> None:
    plain = named_to_plain(OPERATORS, FAN)
    plain["detector"]["pitch"] = -1.0
    with pytest.raises(GeometryError, match=r"In 'operator\.detector': .*pitch > 0"):
        named_from_plain(OPERATORS, plain, "operator")


def test_a_misspelt_key_does_not_turn_a_fan_into_a_parallel_beam() -> None:
    plain = named_to_plain(OPERATORS, Transmission(FAN))
    plain["geometry"]["source_orign"] = plain["geometry"].pop("source_origin")
    with pytest.raises(ConfigError, match=r"'T\.geometry\.source_orign'.*'source_origin'"):
        named_from_plain(OPERATORS, plain, "T")
