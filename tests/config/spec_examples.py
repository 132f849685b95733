"""One spec of every registered kind with its defaults, and one with every optional field set."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from typing import TYPE_CHECKING, Any

from learnedrecon.data.datasets import EllipseSpec, SheppLoganSpec
from learnedrecon.data.icbm152 import Icbm152Spec
from learnedrecon.data.kspace.dataset import KSpaceSpec
from learnedrecon.data.kspace.simulated import MagnitudeSimulation
from learnedrecon.data.kspace.slices import CoilMapSpec
from learnedrecon.data.noise import (
    Gaussian,
    GaussianRange,
    NoNoise,
    PoissonCounts,
    PoissonLog,
    RelativeGaussian,
)
from learnedrecon.data.noise_registry import NOISES
from learnedrecon.data.pairs import PairFolderSpec
from learnedrecon.data.photographs import PhotographSpec
from learnedrecon.data.published.lodopab import LodopabSpec
from learnedrecon.data.published.two_detect import TwoDetectSpec
from learnedrecon.data.registry import DATASETS
from learnedrecon.models.equilibrium import FixedPointSolver, PotentialLayers
from learnedrecon.models.generalised_scheme import StepInputs
from learnedrecon.models.like import Like
from learnedrecon.models.lista_coupled import Support
from learnedrecon.models.registry import MODELS
from learnedrecon.models.start import FilteredBackprojection
from learnedrecon.models.subsets import Subsets
from learnedrecon.networks.experts import Experts
from learnedrecon.networks.unet import UNetSpec
from learnedrecon.operators.finite_difference import Differences
from learnedrecon.operators.imaging.blur import PointSpread
from learnedrecon.operators.imaging.downsample import Downsampling
from learnedrecon.operators.imaging.inpaint import PixelMask
from learnedrecon.operators.imaging.point_spread import Box
from learnedrecon.operators.imaging.point_spread import Gaussian as GaussianKernel
from learnedrecon.operators.imaging.shapes import Padding, Unchanged
from learnedrecon.operators.imaging.wavelet import WaveletBasis
from learnedrecon.operators.matrix import Matrix
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.operators.mri.non_cartesian import NonCartesian
from learnedrecon.operators.mri.sampling import (
    MASKS,
    Equispaced,
    EquispacedFraction,
    Magic,
    MagicFraction,
    PoissonDisc,
    RandomLines,
)
from learnedrecon.operators.mri.sampling import Radial as RadialMask
from learnedrecon.operators.mri.sampling import Spiral as SpiralMask
from learnedrecon.operators.mri.trajectories import Kooshball, Points, Radial, Spiral, Stacked
from learnedrecon.operators.ray.arranged import Arranged
from learnedrecon.operators.ray.beam2d import RayVectors2D
from learnedrecon.operators.ray.beam3d import RayVectors3D
from learnedrecon.operators.ray.curved import CurvedFanBeam
from learnedrecon.operators.ray.detectors import ArcDetector
from learnedrecon.operators.ray.flat_panel import FlatPanel
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.geometry3d import ConeBeam, Orbit, ParallelBeam3D
from learnedrecon.operators.ray.transmission import Transmission
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.solvers.normal import NormalSolver
from learnedrecon.training.losses import (
    LOSSES,
    AbsoluteError,
    DeepSupervision,
    LogSquaredError,
    SmoothedModulus,
    SquaredError,
)

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
FILE = 'a "folder": it\'s\\ñ # 1'

OPERATOR_EXAMPLES = (
    ParallelBeam((4, 5), ARC, FlatDetector(7)),
    ParallelBeam((4, 5), LIST, SHIFTED, (0.5, 1 / 3)),
    FanBeam((4, 5), ARC, FlatDetector(7), 20.0, 10.0),
    CurvedFanBeam((4, 5), ARC, ArcDetector(7, 0.05), 20.0),
    CurvedFanBeam((4, 5), LIST, ArcDetector(7, 0.05, 0.01), 20.0, (0.5, 1.5)),
    Arranged(ParallelBeam((4, 5), ARC, FlatDetector(7))),
    Arranged(
        CurvedFanBeam((4, 5), LIST, ArcDetector(7, 0.05), 20.0), ("-y", "x"), ("column", "angle")
    ),
    Arranged(RayVectors3D((2, 3, 4), POSES, (3, 4)), ("x", "y", "z"), ("row", "angle", "column")),
    RayVectors2D((4, 5), ((0.0, -9.0, -3.0, 9.0, 1.0, 0.1),), 6),
    RayVectors2D((4, 5), ((0.0, 1.0, -3.0, 0.0, 1.0, 0.1),), 6, (0.5, 1.5), "parallel"),
    FanBeam((4, 5), AngleRange(3, 0.1, 6.0, endpoint=True), SHIFTED, 20.0, 10.0, 0.3),
    ConeBeam((2, 4, 5), ARC, PANEL, 20.0, 10.0),
    ConeBeam((2, 4, 5), LIST, MOVED, 20.0, 10.0, (0.5, 0.25, 0.75), Orbit(1.0, 0.5)),
    ConeBeam((2, 4, 5), LIST, PANEL, 20.0, 10.0, 0.5, Orbit(tilt=0.1)),
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
    Downsampling((8, 10)),
    Downsampling((8, 9), (2, 3), "gaussian", "zero", 0.7),
    PixelMask((4, 5)),
    PixelMask((4, 5), 0.25, 3),
    Matrix(((1.0, 2.0), (3.0, 1e-300))),
    Matrix(((1.0, 2.0, 0.5, -1.0),), (2, 2)),
    Unchanged((4, 5)),
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
    EllipseSpec("dival", (16, 17), "test", 9, 3, 0.5),
    SheppLoganSpec(),
    SheppLoganSpec((16, 17)),
    PhotographSpec(),
    PhotographSpec(32, "test", 9, 3),
    PairFolderSpec("folder"),
    PairFolderSpec(FILE, "test", (0.5, 0.25, 0.25), 3, "each", ".+(?=_)", "auto"),
    KSpaceSpec("folder"),
    Icbm152Spec(),
    Icbm152Spec(
        (32, 40), ("axial",), "test", 9, 3, 4, 1.0, 0.25, Equispaced(), MagnitudeSimulation(2), 2
    ),
    KSpaceSpec("folder", simulation=MagnitudeSimulation(4, 0.02, 1.0)),
    KSpaceSpec(FILE, "test", Equispaced((4, 8), (0.08, 0.04)), 2, CoilMapSpec("low_resolution")),
    KSpaceSpec(
        "folder",
        maps=CoilMapSpec("espirit", 20, 5, 0.01, 0.9, "none"),
        broken="skip",
        fractions=(0.5, 0.25, 0.25),
        seed=3,
        group="^p",
        slices=(2, 9),
    ),
    LodopabSpec("folder"),
    LodopabSpec(FILE, "test", 9),
    TwoDetectSpec("folder"),
    TwoDetectSpec(FILE, 1, 3, "test", 7, "mask.npy"),
)
NOISE_EXAMPLES = (
    NoNoise(),
    Gaussian(0.1),
    GaussianRange(0.0, 0.1),
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
    SmoothedModulus(),
    SmoothedModulus("sum", 1e-6),
    DeepSupervision(),
    DeepSupervision(0.5),
)
MASK_EXAMPLES = (
    *(entry.spec() for entry in MASKS.values()),
    *(kind((4, 8), (0.08, 0.04)) for kind in (RandomLines, Equispaced, EquispacedFraction)),
    *(kind((4, 8), (0.08, 0.04)) for kind in (Magic, MagicFraction)),
    PoissonDisc(3.0, 8, 2.0),
    RadialMask(3.0, 8),
    SpiralMask(3.0, 8, 4),
)

_UNLIKE: dict[str, Any] = {
    "start": FilteredBackprojection("hann", 0.5),
    "like": Like(3, 1, 3, image_complex=False, data_folded=2),
    "solver": FixedPointSolver(1e-4, 30, "jacobian_free", 0.1),
    "data_step": NormalSolver(1e-3, 7),
    "subsets": Subsets(3, "random"),
    "inputs": StepInputs(("image", "prediction"), "filtered"),
    "bounds": (0.0, None),
    "window": "hann",
    "wavelet": "db2",
    "combine": "rss",
    "nonnegative": False,
    "shared": True,
    "reference_sigma": 0.02,
    "sigma": 0.01,
    "noise_level": 0.05,
    "extrapolate": "cylinder",
    "support": Support(2.0, 20.0),
    "damping": 1e-3,
}
_NETWORKS: dict[type[Any], Any] = {
    UNetSpec: UNetSpec(1, 1, 8, 2, 4, ("strided", "bilinear"), residual=False),
    PotentialLayers: PotentialLayers(2, 5, 3, 0.5, "none", 5),
    Experts: Experts(3, 7, 9, 2.0, 0.1),
}


def model_examples() -> tuple[Any, ...]:
    """Every model with its defaults, with every optional field set, and with null where it may."""
    kinds = [entry.spec for entry in MODELS.values()]
    return (
        *(kind(**_required(kind)) for kind in kinds),
        *(kind(**_required(kind) | {f.name: _unlike(f) for f in optional(kind)}) for kind in kinds),
        *(
            kind(start=name)
            for kind in kinds
            if "start" in {f.name for f in optional(kind)}
            for name in ("auto", "zero", "adjoint", "fbp")
        ),
    )


def optional(kind: type[Any]) -> list[Field[Any]]:
    """The fields that have a default."""
    return [f for f in fields(kind) if f.default is not MISSING or f.default_factory is not MISSING]


def default(field: Field[Any]) -> Any:
    """What a field is where nobody says it."""
    return field.default if field.default_factory is MISSING else field.default_factory()


def _required(kind: type[Any]) -> dict[str, Any]:
    known = {"weight": 0.25}
    free = {f.name for f in optional(kind)}
    return {f.name: known[f.name] for f in fields(kind) if f.name not in free}


def _unlike(field: Field[Any]) -> Any:
    usual = default(field)
    if type(usual) in _NETWORKS:
        return _NETWORKS[type(usual)]
    if field.name in _UNLIKE:
        return _UNLIKE[field.name]
    return usual + 1 if isinstance(usual, int) else usual / 2


EXAMPLES: dict[str, tuple[Any, ...]] = {
    "operator": OPERATOR_EXAMPLES,
    "model": model_examples(),
    "data": DATA_EXAMPLES,
    "noise": NOISE_EXAMPLES,
    "loss": LOSS_EXAMPLES,
    "mask": MASK_EXAMPLES,
}
