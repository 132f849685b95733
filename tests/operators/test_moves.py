"""An operator that could not be moved is what it was before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from learnedrecon.operators.imaging.blur import Blur, PointSpread
from learnedrecon.operators.imaging.point_spread import Gaussian
from learnedrecon.operators.imaging.wavelet import Wavelet, WaveletBasis
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.operators.mri.fourier import CentredFFT
from learnedrecon.operators.ray.flat_panel import FlatPanel
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.geometry3d import ConeBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transform3d import RayTransform3D
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.operators.space import Space

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.operators.base import Operator

SCAN = ParallelBeam((6, 5), AngleRange(4), FlatDetector(9))
RAY = RayTransform(SCAN)
MAPS = torch.randn(2, 4, 6, dtype=torch.complex64)
OPERATORS: dict[str, Operator] = {
    "rays": RAY,
    "rays of samples": RAY.with_tensors({"angles": torch.rand(2, 1, 4)}),
    "cone": RayTransform3D(ConeBeam((2, 3, 4), AngleRange(3), FlatPanel(3, 6), 30.0, 10.0)),
    "transmission": TransmissionCT(Transmission(SCAN, 0.02)),
    "SENSE": CartesianMRI(Cartesian((4, 6), coils=2), torch.tensor([1, 0, 1, 1, 0, 1]), MAPS),
    "Fourier": CentredFFT(Space((4, 6), torch.complex64)),
    "blur": Blur(PointSpread((6, 5), Gaussian(1.0))),
    "wavelet": Wavelet(WaveletBasis((8, 8), "db2", 1)),
    "normal": RAY.H @ (2.0 * RAY),
}


class NoRoomError(RuntimeError):
    """What a device without room raises."""


@pytest.mark.parametrize("name", OPERATORS)
def test_a_move_that_fails_anywhere_leaves_the_operator_as_it_was(name: str) -> None:
    operator = OPERATORS[name]
    u = operator.domain.random(torch.Generator().manual_seed(0), (2, 1))
    expected, spaces = operator(u), (operator.domain, operator.codomain)
    buffers = dict(operator.named_buffers())
    calls = 0
    while True:
        left = calls

        def convert(tensor: Tensor) -> Tensor:
            nonlocal left
            left -= 1
            if left < 0:
                raise NoRoomError
            return tensor.double()

        calls += 1
        try:
            operator._apply(convert)
        except NoRoomError:
            assert torch.equal(operator(u), expected)
            assert (operator.domain, operator.codomain) == spaces
            assert all(buffers[key] is now for key, now in operator.named_buffers())
        else:
            break
    assert calls > 2
    assert operator.domain.dtype.to_real() == torch.float64


def test_a_move_that_fails_leaves_weights_too() -> None:
    class Weighted(RayTransform):
        def __init__(self) -> None:
            super().__init__(SCAN)
            self.weight = torch.nn.Parameter(torch.ones(3))

    operator = Weighted()
    before = operator.weight.data

    def fail(tensor: Tensor) -> Tensor:
        if tensor.numel() != 3:
            raise NoRoomError
        return tensor.double()

    with pytest.raises(NoRoomError):
        operator._apply(fail)
    assert operator.weight.data.data_ptr() == before.data_ptr()
    assert operator.weight.dtype == torch.float32
