from .adapters.astra import from_astra as from_astra
from .adapters.astra_geometry import geometry_from_astra as geometry_from_astra
from .adapters.astra_geometry import geometry_to_astra as geometry_to_astra
from .adapters.deepinv import from_deepinv as from_deepinv
from .adapters.deepinv import to_deepinv as to_deepinv
from .adapters.odl import from_odl as from_odl
from .adapters.odl import to_odl as to_odl
from .adapters.odl_geometry import geometry_from_odl as geometry_from_odl
from .adapters.pylops import from_pylops as from_pylops
from .adapters.pylops import to_pylops as to_pylops
from .adapters.scipy import from_scipy as from_scipy
from .adapters.scipy import to_scipy as to_scipy
from .adapters.skimage_geometry import geometry_from_skimage as geometry_from_skimage
from .base import Composition as Composition
from .base import Multiple as Multiple
from .base import Operator as Operator
from .base import Sum as Sum
from .finite_difference import Differences as Differences
from .finite_difference import FiniteDifference as FiniteDifference
from .imaging.blur import Blur as Blur
from .imaging.blur import PointSpread as PointSpread
from .imaging.downsample import Downsample as Downsample
from .imaging.downsample import Downsampling as Downsampling
from .imaging.inpaint import Inpaint as Inpaint
from .imaging.inpaint import PixelMask as PixelMask
from .imaging.shapes import Identity as Identity
from .imaging.shapes import Pad as Pad
from .imaging.shapes import Padding as Padding
from .imaging.shapes import Unchanged as Unchanged
from .imaging.wavelet import Wavelet as Wavelet
from .imaging.wavelet import WaveletBasis as WaveletBasis
from .linear import Adjoint as Adjoint
from .linear import LinearComposition as LinearComposition
from .linear import LinearMultiple as LinearMultiple
from .linear import LinearOperator as LinearOperator
from .linear import LinearSum as LinearSum
from .magnitude import Magnitude as Magnitude
from .magnitude import PhaseRetrieval as PhaseRetrieval
from .matrix import Matrix as Matrix
from .matrix import MatrixOperator as MatrixOperator
from .mri.cartesian import CartesianMRI as CartesianMRI
from .mri.cartesian_spec import Cartesian as Cartesian
from .mri.fourier import CentredFFT as CentredFFT
from .mri.non_cartesian import NonCartesian as NonCartesian
from .mri.non_cartesian import NonCartesianMRI as NonCartesianMRI
from .mri.trajectories import Kooshball as Kooshball
from .mri.trajectories import Radial as Radial
from .mri.trajectories import Spiral as Spiral
from .pointwise import Diagonal as Diagonal
from .pointwise import ScaledArgument as ScaledArgument
from .ray.arranged import Arranged as Arranged
from .ray.arranged import ArrangedTransform as ArrangedTransform
from .ray.beam2d import RayVectors2D as RayVectors2D
from .ray.beam3d import RayVectors3D as RayVectors3D
from .ray.curved import CurvedFanBeam as CurvedFanBeam
from .ray.detectors import ArcDetector as ArcDetector
from .ray.detectors import FlatDetector as FlatDetector
from .ray.flat_panel import FlatPanel as FlatPanel
from .ray.geometry2d import AngleRange as AngleRange
from .ray.geometry2d import FanBeam as FanBeam
from .ray.geometry2d import ParallelBeam as ParallelBeam
from .ray.geometry3d import ConeBeam as ConeBeam
from .ray.geometry3d import Orbit as Orbit
from .ray.geometry3d import ParallelBeam3D as ParallelBeam3D
from .ray.transform2d import RayTransform as RayTransform
from .ray.transform3d import RayTransform3D as RayTransform3D
from .ray.transmission import Transmission as Transmission
from .ray.transmission import TransmissionCT as TransmissionCT
from .saturation import Saturation as Saturation
from .space import Space as Space
from .stack import BlockDiagonal as BlockDiagonal
from .stack import HorizontalStack as HorizontalStack
from .stack import Stack as Stack

__all__ = [
    "Adjoint",
    "AngleRange",
    "ArcDetector",
    "Arranged",
    "ArrangedTransform",
    "BlockDiagonal",
    "Blur",
    "Cartesian",
    "CartesianMRI",
    "CentredFFT",
    "Composition",
    "ConeBeam",
    "CurvedFanBeam",
    "Diagonal",
    "Differences",
    "Downsample",
    "Downsampling",
    "FanBeam",
    "FiniteDifference",
    "FlatDetector",
    "FlatPanel",
    "HorizontalStack",
    "Identity",
    "Inpaint",
    "Kooshball",
    "LinearComposition",
    "LinearMultiple",
    "LinearOperator",
    "LinearSum",
    "Magnitude",
    "Matrix",
    "MatrixOperator",
    "Multiple",
    "NonCartesian",
    "NonCartesianMRI",
    "Operator",
    "Orbit",
    "Pad",
    "Padding",
    "ParallelBeam",
    "ParallelBeam3D",
    "PhaseRetrieval",
    "PixelMask",
    "PointSpread",
    "Radial",
    "RayTransform",
    "RayTransform3D",
    "RayVectors2D",
    "RayVectors3D",
    "Saturation",
    "ScaledArgument",
    "Space",
    "Spiral",
    "Stack",
    "Sum",
    "Transmission",
    "TransmissionCT",
    "Unchanged",
    "Wavelet",
    "WaveletBasis",
    "from_astra",
    "from_deepinv",
    "from_odl",
    "from_pylops",
    "from_scipy",
    "geometry_from_astra",
    "geometry_from_odl",
    "geometry_from_skimage",
    "geometry_to_astra",
    "to_deepinv",
    "to_odl",
    "to_pylops",
    "to_scipy",
]
