"""Magnetic resonance imaging along radial, spiral and other non-Cartesian trajectories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from learnedrecon.compiling import real_of
from learnedrecon.errors import GeometryError, describe
from learnedrecon.operators.fields import count, image_shape, require_kind, store
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.mri import non_cartesian_checks
from learnedrecon.operators.mri.nufft import nufft, nufft_adjoint
from learnedrecon.operators.mri.toeplitz import ToeplitzNormal, toeplitz_eigenvalues
from learnedrecon.operators.mri.trajectories import TRAJECTORIES, Trajectory
from learnedrecon.operators.norm import lanczos_norm, require_settled
from learnedrecon.operators.space import Space

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.operators.leading import Norm


@dataclass(frozen=True)
class NonCartesian:
    """The configuration of :class:`NonCartesianMRI`.

    Attributes:
        shape: Shape of the image, (ny, nx) or (nz, ny, nx).
        trajectory: :class:`Radial`, :class:`Spiral`, :class:`Kooshball`, :class:`Stacked` or
            :class:`Points`, with as many axes.
        coils: Number of coils with sensitivity maps, or None for the transform alone, whose data
            have no coil axis.

    Raises:
        GeometryError: The shape, number of coils or trajectory does not fit.
    """

    shape: tuple[int, ...]
    trajectory: Trajectory
    coils: int | None = None

    def __post_init__(self) -> None:
        store(self, "shape", image_shape)
        if self.coils is not None:
            store(self, "coils", count)
        if not isinstance(self.trajectory, TRAJECTORIES):
            raise GeometryError(
                describe(
                    expected="a trajectory: Radial, Spiral, Kooshball, Stacked or Points",
                    found=f"{type(self.trajectory).__name__}",
                    fix="write for example Radial(spokes=64, samples=512), or Points(array)",
                )
            )
        axes = self.trajectory.axes
        least = min(*self.shape, 1 if self.coils is None else self.coils)
        if len(self.shape) != axes or least < 1:
            raise GeometryError(
                describe(
                    expected=f"{axes} sizes for a trajectory of {axes} axes, and coils of at least"
                    " 1 or None",
                    found=f"shape {self.shape}, coils {self.coils}",
                    fix="give the image's shape in pixels",
                )
            )

    @property
    def data_shape(self) -> tuple[int, ...]:
        """The shape of the data, ((coils,) interleaves, samples)."""
        coils = () if self.coils is None else (self.coils,)
        return (*coils, *self.trajectory.shape)


class NonCartesianMRI(LinearOperator):
    """(T u)_{c,j} = n^(-1/2) Σ_x S_c(x) u(x) exp(-i k_j·x), sampled at any frequencies k_j.

    Pixels x run from -⌊n/2⌋ along each axis and n is the number of all pixels, so that samples at
    the frequencies of the centred orthonormal FFT are that FFT. T has no density compensation,
    which is not part of the measurement: see :mod:`learnedrecon.solvers.direct.density`, and
    :func:`learnedrecon.solvers.direct.gridding.gridding` for the pseudo-inverse. FINUFFT computes
    the sums with relative errors of 1e-6 in complex64 and 1e-12 in complex128 (for n pixels along
    an axis, complex64 itself adds about n·1e-7); T* is the adjoint of T to rounding. The extra
    ``nufft`` is required.

    T and T* are differentiable in image, data, maps and trajectory, any number of times, backwards
    and forwards.

    Args:
        spec: Image shape, trajectory and number of coils.
        maps: Coil maps S, (..., coil, *shape), if the spec has coils; they may also be given by
            :meth:`with_tensors`.
        dtype: complex64 or complex128 (or float32 or float64), the dtype of elements that the
            spaces create. The operator itself works in the precision of its argument.

    Attributes:
        scan: Spec as given.
        spec: Spec as given; None where a tensor or a subset replaced the trajectory.
        trajectory: Sampling points (..., interleave, sample, axis), float64, in radians per pixel
            and in the order of the image's axes.
        maps: Coil maps S, or None.

    Raises:
        GeometryError: Not a :class:`NonCartesian`, or maps for a spec without coils.
        ShapeError: The maps have another shape.
        DtypeError: The maps are not complex or real floats.
        DataError: The maps are not finite.

    Shapes: image (..., ny, nx) to data (..., interleave, sample), with coils
    (..., coil, interleave, sample); in three dimensions (..., nz, ny, nx). ``subset`` chooses
    interleaves.
    """

    precise = ("trajectory",)
    row_axis = -2
    tensor_names = frozenset({"maps", "trajectory"})
    spec: NonCartesian | None
    trajectory: Tensor
    maps: Tensor | None

    def __init__(
        self,
        spec: NonCartesian,
        maps: Tensor | None = None,
        dtype: torch.dtype = torch.complex64,
    ) -> None:
        require_kind(spec, NonCartesian, "NonCartesianMRI(NonCartesian(shape, Radial(64, 512)))")
        trajectory = torch.from_numpy(spec.trajectory.points())
        self._set(spec, trajectory, None, dtype.to_complex())
        self.spec = spec
        if maps is not None:
            non_cartesian_checks.check({"maps": maps}, spec.coils, spec.shape, trajectory.shape)
            self.maps = maps

    def _set(
        self, spec: NonCartesian, trajectory: Tensor, maps: Tensor | None, dtype: torch.dtype
    ) -> None:
        coils = () if spec.coils is None else (spec.coils,)
        super().__init__(Space(spec.shape, dtype), Space((*coils, *trajectory.shape[-3:-1]), dtype))
        self.scan, self.spec = spec, None
        self.folded_axes = len(coils)
        self.register_buffer("trajectory", trajectory, persistent=False)
        self.register_buffer("maps", maps, persistent=False)

    def with_tensors(self, tensors: dict[str, Tensor]) -> NonCartesianMRI:
        """The operator of the same scan with other coil maps or another trajectory.

        Args:
            tensors: "maps" (*lead, coil, *shape), complex; "trajectory"
                (*lead, interleave, sample, axis), real, in radians per pixel. Leading axes are
                those of the images, (batch, 1), or 1, or omitted altogether. Where every sample has
                its own trajectory, FINUFFT is called once per sample.

        Raises:
            GeometryError: Other names, maps without coils, or frequencies beyond ±2π.
            ShapeError: Other last axes, or no channel axis.
            DtypeError: Not tensors of floats.
            DataError: A number is not finite.
        """
        if not tensors:
            return self
        non_cartesian_checks.check(tensors, self.scan.coils, self.scan.shape, self.trajectory.shape)
        device = self.trajectory.device
        trajectory, maps = tensors.get("trajectory"), tensors.get("maps")
        trajectory = self.trajectory if trajectory is None else trajectory.to(device).double()
        twin = self._copy(trajectory, self.maps if maps is None else maps.to(device))
        twin.spec = self.spec if "trajectory" not in tensors else None
        return twin

    def evaluate(self, u: Tensor) -> Tensor:
        points = self._points()
        if self.scan.coils is not None:
            n = self.domain.ndim
            u = self._maps_for(u) * u.unsqueeze(-n - 1)
            points = points.unsqueeze(-3)
        samples = nufft(u, points, self.domain.shape)
        return samples.unflatten(-1, self.trajectory.shape[-3:-1])

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        points = self._points()
        if self.scan.coils is None:
            return nufft_adjoint(v.flatten(-2), points, self.domain.shape)
        images = nufft_adjoint(v.flatten(-2), points.unsqueeze(-3), self.domain.shape)
        return (self._maps_for(v).conj() * images).sum(-self.domain.ndim - 1)

    def normal(self, weights: Tensor | None = None) -> ToeplitzNormal:
        """The normal operator T*WT, equal to ``T.H @ T``, by FFTs alone.

        It is several times faster than the composition where it is applied often. Building it takes
        one NUFFT in double precision.

        Args:
            weights: W, (*lead, interleave, sample) real, such as those of
                :func:`learnedrecon.solvers.direct.density.density_weights`; 1 unless given.

        Raises:
            ShapeError: The weights have another shape.
            GeometryError: The operator has coils but no maps.
        """
        self._require_maps()
        points = self._points()
        if weights is None:
            weights = points.new_ones(points.shape[-2])
        else:
            plane = Space(self.codomain.shape[-2:], torch.float64)
            weights = plane.check(weights, "weights").flatten(-2).to(points)
        eigenvalues = toeplitz_eigenvalues(points, weights, self.domain.shape)
        return ToeplitzNormal(self.domain, eigenvalues.to(real_of(self.domain.dtype)), self.maps)

    def restrict(self, rows: tuple[int, ...]) -> NonCartesianMRI:
        chosen = torch.tensor(rows, device=self.trajectory.device)
        return self._copy(self.trajectory.index_select(-3, chosen), self.maps)

    def compute_norm(self) -> Norm:
        """‖T‖ by the method of Lanczos."""
        return require_settled(lanczos_norm(self, tolerance=1e-4), type(self).__name__)

    def own_axes(self, name: str) -> int:
        return 3 if name == "trajectory" else self.domain.ndim + 1

    def extra_repr(self) -> str:
        maps = "none" if self.maps is None else f"{tuple(self.maps.shape)}"
        return f"{self.scan.shape}, trajectory {tuple(self.trajectory.shape)}, maps {maps}"

    def _points(self) -> Tensor:
        return self.trajectory.flatten(-3, -2)

    def _maps_for(self, like: Tensor) -> Tensor:
        self._require_maps()
        assert self.maps is not None
        return self.maps.to(like.dtype)

    def _require_maps(self) -> None:
        if self.scan.coils is not None and self.maps is None:
            raise GeometryError(
                describe(
                    expected=f"maps of {self.scan.coils} coils",
                    found="an operator without",
                    fix="put them in: T.with_tensors({'maps': maps}), or NonCartesianMRI(spec,"
                    " maps)",
                )
            )

    def _copy(self, trajectory: Tensor, maps: Tensor | None) -> NonCartesianMRI:
        """Another operator of the same spec; nothing is checked."""
        twin = NonCartesianMRI.__new__(NonCartesianMRI)
        twin._set(self.scan, trajectory, maps, self.domain.dtype)  # noqa: SLF001 - of this class
        return twin
