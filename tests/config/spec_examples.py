"""One spec of every registered kind with its defaults, and one with every optional field set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from learnedrecon.models.initial import FilteredBackprojection

from learnedrecon.config.schema import LOSSES
from learnedrecon.data.datasets import EllipseSpec, SheppLoganSpec
from learnedrecon.data.noise import Gaussian, NoNoise, PoissonCounts, PoissonLog, RelativeGaussian
from learnedrecon.data.pairs import PairFolderSpec
from learnedrecon.data.registry import DATASETS, NOISES
from learnedrecon.models.registry import MODELS
from learnedrecon.networks.unet import UNetSpec
from learnedrecon.operators.finite_difference import Differences
from learnedrecon.operators.imaging.blur import PointSpread
from learnedrecon.operators.imaging.downsample import Decimation
from learnedrecon.operators.imaging.inpaint import PixelMask
from learnedrecon.operators.imaging.point_spread import Box
from learnedrecon.operators.imaging.point_spread import Gaussian as GaussianKernel
from learnedrecon.operators.imaging.shapes import Padding
from learnedrecon.operators.imaging.wavelet import WaveletBasis
from learnedrecon.operators.matrix import Matrix
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.operators.mri.non_cartesian import NonCartesian
from learnedrecon.operators.mri.sampling import MASKS
from learnedrecon.operators.mri.trajectories import Kooshball, Points, Radial, Spiral, Stacked
from learnedrecon.operators.ray.beam3d import RayVectors3D
from learnedrecon.operators.ray.flat_panel import FlatPanel
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.geometry3d import ConeBeam, Orbit, ParallelBeam3D
from learnedrecon.operators.ray.transmission import Transmission
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.training.losses import AbsoluteError, LogSquaredError, SquaredError

if TYPE_CHECKING:
    from learnedrecon.specs import Registry

REGISTRIES: dict[str, Registry[Any]] = {
    "operator": OPERATORS,
    "model": MODELS,
    "data": DATASETS,
    "noise": NOISES,
    "loss": LOSSES,
    "mask": MASKS,
}

ARC = AngleRange(3)
LIST = (0.1, 0.7, 2.0)
SHIFTED = FlatDetector(7, 0.5, 0.25)
PANEL = FlatPanel(3, 4)
MOVED = FlatPanel(3, 4, (0.5, 0.75), 0.25, -0.5)
POSES = ((0.0, -9.0, 0.0, 0.0, 9.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0),)
FBP = FilteredBackprojection("hann", 0.5)
FILE = 'a "folder": it\'s\\ñ # 1'

OPERATOR_EXAMPLES = (
    ParallelBeam((4, 5), ARC, FlatDetector(7)),
    ParallelBeam((4, 5), LIST, SHIFTED, (0.5, 1 / 3)),
    FanBeam((4, 5), ARC, FlatDetector(7), 20.0, 10.0),
    FanBeam((4, 5), AngleRange(3, 0.1, 6.0), SHIFTED, 20.0, 10.0, 0.3),
    ConeBeam((2, 4, 5), ARC, PANEL, 20.0, 10.0),
    ConeBeam((2, 4, 5), LIST, MOVED, 20.0, 10.0, (0.5, 0.25, 0.75), Orbit(1.0, 0.5, 0.1)),
    ParallelBeam3D((2, 4, 5), ARC, PANEL),
    ParallelBeam3D((2, 4, 5), LIST, MOVED, (0.5, 0.25, 0.75), 0.1),
    RayVectors3D((2, 4, 5), POSES, (3, 4)),
    RayVectors3D((2, 4, 5), POSES, (3, 4), (0.5, 0.25, 0.75), "parallel"),
    NonCartesian((4, 6), Radial(3, 8)),
    NonCartesian((4, 6), Radial(3, 8, "uniform", 0.1), 2),
    NonCartesian((4, 6), Spiral(3, 8, 2.5, 1.5), 2),
    NonCartesian((4, 6, 8), Kooshball(3, 8), 2),
    NonCartesian((4, 6, 8), Stacked(Spiral(3, 8, 2.0), 4), 2),
    NonCartesian((4, 6), Points((((0.0, 0.5), (0.25, -0.5)),)), 2),
    Cartesian((4, 6)),
    Cartesian((4, 6), 2, (8, 6), -2),
    PointSpread((8, 9), GaussianKernel(1.0)),
    PointSpread((8, 9), ((0.5, 0.25, 0.0), (0.0, 0.125, 0.125)), "valid", (1, 2), "fft"),
    PointSpread((8, 9), Box((3, 5)), "reflect"),
    PointSpread((8, 9), GaussianKernel((1.0, 0.5), 3.0), "zero"),
    Decimation((8, 9)),
    Decimation((8, 9), (2, 3), "gaussian", "zero", 0.7),
    PixelMask((4, 5)),
    PixelMask((4, 5), 0.25, 3),
    Matrix(((1.0, 2.0), (3.0, 1e-300))),
    Matrix(((1.0, 2.0, 0.5, -1.0),), (2, 2)),
    Padding((4, 5), ((1, 0), (2, 3))),
    Padding((4, 5), ((1, 0), (2, 3)), "reflect"),
    Differences((4, 5)),
    Differences((4, 5), "periodic", (0.5, 0.25)),
    WaveletBasis((16, 16)),
    WaveletBasis((16, 16), "haar", 2),
    Transmission(ParallelBeam((4, 5), ARC, FlatDetector(7))),
    Transmission(FanBeam((4, 5), LIST, SHIFTED, 20.0, 10.0, (0.5, 0.25)), 0.5, 2.0, 0.1),
)
DATA_EXAMPLES = (
    EllipseSpec(),
    EllipseSpec("lodopab_like", (16, 17), "test", 9, 3, 0.5),
    SheppLoganSpec(),
    SheppLoganSpec((16, 17)),
    PairFolderSpec("folder"),
    PairFolderSpec(FILE, "test", (0.5, 0.25, 0.25), 3, "each", ".+(?=_)"),
)
NOISE_EXAMPLES = (
    NoNoise(),
    Gaussian(0.1),
    RelativeGaussian(0.05),
    PoissonCounts(1e4),
    PoissonLog(4096.0),
    PoissonLog(4096.0, 0.5),
)
LOSS_EXAMPLES = (
    SquaredError(),
    SquaredError("sum"),
    LogSquaredError(),
    LogSquaredError(1e-6),
    AbsoluteError(),
    AbsoluteError("sum"),
)
# Where the values of a field are not arbitrary: what sets it to something else than its default.
OTHER_VALUES: dict[str, Any] = {
    "fbp": FBP,
    "checkpoint_every": 2,
    "network": UNetSpec(1, 1, 8, 2, 4, ("strided", "bilinear"), residual=False),
    "window": "hann",
    "order": "random",
    "bound": "none",
    "nonnegative": False,
    "weight": 0.375,
    "epsilon": 0.5,
    "step": 0.5,
    "product": 0.5,
    "bandwidth": 0.5,
}
REQUIRED_VALUES: dict[str, Any] = {"weight": 0.25}
