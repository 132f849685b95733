"""Registry of the operators that configurations and checkpoints can name."""

from __future__ import annotations

from learnedrecon.operators.base import Operator
from learnedrecon.operators.finite_difference import Differences
from learnedrecon.operators.imaging.blur import Blur, PointSpread
from learnedrecon.operators.imaging.downsample import Downsample, Downsampling
from learnedrecon.operators.imaging.inpaint import Inpaint, PixelMask
from learnedrecon.operators.imaging.shapes import Pad, Padding, Unchanged
from learnedrecon.operators.imaging.wavelet import Wavelet, WaveletBasis
from learnedrecon.operators.matrix import Matrix
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.operators.mri.non_cartesian import NonCartesian, NonCartesianMRI
from learnedrecon.operators.ray.arranged import Arranged, ArrangedTransform
from learnedrecon.operators.ray.beam2d import RayVectors2D
from learnedrecon.operators.ray.beam3d import RayVectors3D
from learnedrecon.operators.ray.curved import CurvedFanBeam
from learnedrecon.operators.ray.geometry2d import FanBeam, ParallelBeam
from learnedrecon.operators.ray.geometry3d import ConeBeam, ParallelBeam3D
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transform3d import RayTransform3D
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.registry import Registry
from learnedrecon.specs import Entry

OPERATORS: Registry[Operator] = Registry(
    "operator",
    Operator,  # type: ignore[type-abstract]
    {
        "parallel_beam": Entry(ParallelBeam, RayTransform, "2D parallel-beam ray transform"),
        "fan_beam": Entry(FanBeam, RayTransform, "2D flat-panel fan-beam ray transform"),
        "curved_fan_beam": Entry(
            CurvedFanBeam, RayTransform, "2D fan-beam ray transform, arc detector"
        ),
        "ray_vectors_2d": Entry(RayVectors2D, RayTransform, "2D ray transform, pose by pose"),
        "cone_beam": Entry(ConeBeam, RayTransform3D, "3D flat-panel cone-beam ray transform"),
        "parallel_beam_3d": Entry(ParallelBeam3D, RayTransform3D, "3D parallel-beam ray transform"),
        "arranged": Entry(Arranged, ArrangedTransform, "ray transform of arrays with other axes"),
        "ray_vectors_3d": Entry(RayVectors3D, RayTransform3D, "3D ray transform, pose by pose"),
        "non_cartesian_mri": Entry(
            NonCartesian, NonCartesianMRI, "MRI along radial, spiral and other trajectories"
        ),
        "cartesian_mri": Entry(Cartesian, CartesianMRI, "Cartesian MRI, one coil or SENSE"),
        "blur": Entry(PointSpread, Blur, "convolution with a kernel"),
        "downsample": Entry(Downsampling, Downsample, "anti-alias filter, then every f-th pixel"),
        "inpaint": Entry(PixelMask, Inpaint, "some pixels, chosen at random"),
        "identity": Entry(Unchanged, Unchanged.build, "the image itself, for denoising"),
        "matrix": Entry(Matrix, Matrix.build, "a small matrix, given by its entries"),
        "pad": Entry(Padding, Pad, "margins around the image"),
        "finite_difference": Entry(Differences, Differences.build, "the discrete gradient"),
        "wavelet": Entry(WaveletBasis, Wavelet, "periodic orthogonal wavelet transform"),
        "transmission_ct": Entry(Transmission, TransmissionCT, "exp(-μ P u), nonlinear"),
    },
)
