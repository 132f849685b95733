"""Cartesian MRI: masks, Fourier transform and coil sensitivities."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from learnedrecon.compiling import real_of
from learnedrecon.errors import GeometryError, describe
from learnedrecon.operators.fields import require_kind
from learnedrecon.operators.leading import Norm, largest, per_sample
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.mri.cartesian_autograd import ADJOINT, FORWARD, sense
from learnedrecon.operators.mri.cartesian_blocks import (
    grid_of_places,
    maps_of_places,
    mask_of_places,
    smooth_image,
    spec_of_places,
)
from learnedrecon.operators.mri.cartesian_checks import (
    binary_mask,
    coil_maps,
    positive_weight,
    require_names,
)
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.operators.mri.fourier import (
    phases_after,
    phases_before,
    product_of_axes,
    require_complex,
)
from learnedrecon.operators.mri.measured_lines import Grid, measured_lines, varying_axes
from learnedrecon.operators.norm import Memory, content_of, lanczos_norm, require_settled
from learnedrecon.operators.ray.autograd import transforms_are_active
from learnedrecon.operators.space import Space
from learnedrecon.operators.versions import changed, version_of


class CartesianMRI(LinearOperator):
    """A u = (M F P S_c u)_c: coil maps, zero padding, centred unitary Fourier transform, mask.

    The SENSE model (Pruessmann, Weiger, Scheidegger, Boesiger, Magn. Reson. Med. 42, 1999); without
    coils A = M F P. ‖A‖ ≤ 1 where Σ_c |S_c|² ≤ 1. P puts the image into the middle of the encoded
    grid, so that A* crops.

    The shifts of the centred transform are folded into the mask and the image. In eager mode the
    backward pass is A* and stores no coil images; on the CPU a few coils at a time are taken
    through all factors. Where the mask consists of whole lines, the axes that number the lines are
    transformed first, and the others on the measured lines only.

    Args:
        spec: Sizes of image and k-space, and the number of coils.
        mask: Binary mask M of any dtype: (ky, kx), or with 1 for an axis along which it is
            constant, such as (kx,) or (ky, 1); for each sample (batch, 1, 1, ky, kx), without coils
            (batch, 1, ky, kx). None if everything is measured.
        maps: Coil maps S, complex, (coil, ny, nx), or (batch, 1, coil, ny, nx) for each sample.
            They may require gradients. An operator with coils may be created without maps, which
            :meth:`with_tensors` adds.
        dtype: complex64 or complex128, the dtype of elements that the spaces create. The operator
            itself works in the precision of its argument.

    Attributes:
        scan: Spec as given; ``spec`` is None for a subset of the rows.
        mask: Boolean mask, (*k-space or 1) or (*lead, 1, *k-space or 1), or None.
        maps: Coil maps as given, or None.

    Raises:
        GeometryError: Not a :class:`Cartesian`, or maps for a scan without coils.
        DtypeError, ShapeError, DataError: A mask or maps do not fit.

    Shapes: image (..., ny, nx) to k-space (..., coil, ky, kx), without the axis of coils where
    ``spec.coils`` is None; likewise (nz, ny, nx).
    """

    mask: Tensor | None
    maps: Tensor | None
    phases: Tensor
    weights: Tensor

    def __init__(
        self,
        spec: Cartesian,
        mask: Tensor | None = None,
        maps: Tensor | None = None,
        dtype: torch.dtype = torch.complex64,
    ) -> None:
        require_kind(spec, Cartesian, "CartesianMRI(Cartesian((320, 320), coils=15), mask, maps)")
        require_complex(dtype, "CartesianMRI")
        grid = Grid(spec.shape, spec.grid, spec.row_axis, None)
        if mask is not None:
            mask = binary_mask(mask, grid.out, coils=spec.coils is not None)
        self._set(spec, grid, mask, _checked_maps(spec, maps), dtype)

    @property
    def spec(self) -> Cartesian | None:
        """The spec as given; None for a subset of the rows of a scan."""
        return self.scan if self.grid.rows is None else None

    def _set(
        self,
        spec: Cartesian,
        grid: Grid,
        mask: Tensor | None,
        maps: Tensor | None,
        dtype: torch.dtype,
    ) -> None:
        coils = () if spec.coils is None else (spec.coils,)
        super().__init__(Space(grid.shape, dtype), Space((*coils, *grid.out), dtype))
        self.scan, self.grid = spec, grid
        self.tensor_names = frozenset({"mask"} if spec.coils is None else {"mask", "maps"})
        self.row_axis = grid.row_axis
        self.folded_axes = len(coils)
        device = next((t.device for t in (mask, maps) if t is not None), torch.device("cpu"))
        self.register_buffer("mask", mask, persistent=False)
        self.register_buffer("maps", maps, persistent=False)
        self._find_lines()
        phases, weights = self._constants(dtype, device)
        self.register_buffer("phases", phases, persistent=False)
        self.register_buffer("weights", weights, persistent=False)

    def _find_lines(self) -> None:
        """Finds the lines that are measured, as far as the values of the mask can be seen."""
        one = _without_coils(self.mask, self.scan)
        hidden = torch.compiler.is_compiling() or transforms_are_active()
        self.varying = self.grid.axes if hidden else varying_axes(one, self.grid)
        self.lines = None if hidden else measured_lines(one, self.grid, self.varying)
        self._version = version_of(self.mask)

    def _follow_mask(self) -> None:
        """Computes again what depends on the mask where that was changed in place."""
        if changed(self.mask, self._version):
            self._find_lines()
            self.refresh()

    @property
    def measured(self) -> Tensor | None:
        return self.mask

    def evaluate(self, u: Tensor) -> Tensor:
        self._follow_mask()
        phases, weights = self._constants_for(u)
        return sense(phases * u, self._maps_for(u), weights, self.grid, self.lines, FORWARD)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        self._follow_mask()
        phases, weights = self._constants_for(v)
        u = sense(v, self._maps_for(v), weights, self.grid, self.lines, ADJOINT)
        return phases.conj() * u

    def with_tensors(self, tensors: dict[str, Tensor]) -> CartesianMRI:
        """The same scan with another mask or other coil maps, fixed or one per sample.

        Args:
            tensors: "mask" and "maps", as in the constructor; the mask of a subset has the rows of
                the subset.

        Raises:
            GeometryError: Other names, or maps for a scan without coils.
            DtypeError, ShapeError, DataError: A mask or maps do not fit.
        """
        if not tensors:
            return self
        require_names(tensors, type(self).__name__)
        mask, maps = self.mask, self.maps
        if "mask" in tensors:
            coils = self.scan.coils is not None
            mask = binary_mask(tensors["mask"], self.grid.out, coils=coils)
        if "maps" in tensors:
            maps = _checked_maps(self.scan, tensors["maps"])
        return self._copy(self.grid, mask, maps)

    def restrict(self, rows: tuple[int, ...]) -> CartesianMRI:
        old, mask, axis = self.grid.rows, self.mask, self.grid.row_axis
        if mask is not None and mask.shape[axis] > 1:
            mask = mask.index_select(axis, torch.tensor(rows, device=mask.device))
        kept = rows if old is None else tuple(old[row] for row in rows)
        return self._copy(self.grid._replace(rows=kept), mask, self.maps)

    def normal_inverse(self, b: Tensor, weight: Tensor | float) -> Tensor | None:
        """(A*A + λI)⁻¹ b = F* (F b)/(D + λ), D the number of measurements per point of k-space.

        The closed form exists for a single coil where the mask is constant along every cropped
        axis, so that A*A is a Fourier multiplier on the image.

        Args:
            b: Right side, (..., ny, nx), complex.
            weight: λ > 0, a number, or (batch, 1, ...) with a 1 for every axis of the image.

        Returns:
            Solution (..., ny, nx), differentiable in b and λ; None where there is no closed form.

        Raises:
            DataError: λ ≤ 0.
            ShapeError: λ varies over the image.
        """
        self._follow_mask()
        cropped = {a for a in self.grid.axes if self.grid.shape[a] != self.grid.encoded[a]}
        if self.scan.coils is not None or cropped & set(self.varying):
            return None
        b = self.domain.check(b, "an image")
        positive_weight(weight, self.domain.ndim)
        counts = self._counts(real_of(b.dtype))
        for axis in set(self.grid.axes) - set(self.varying):
            counts = counts.narrow(axis, 0, 1)
        if not self.varying:
            return b / (counts + weight)
        phases, _ = self._constants_for(b)
        spectrum = torch.fft.fftn(phases * b, dim=self.varying) / (counts + weight)
        return phases.conj() * torch.fft.ifftn(spectrum, dim=self.varying)

    def norm_bound(self) -> Norm:
        """An upper bound of ‖A‖ without iterations: max sqrt(Σ_c |S_c|²) · sqrt(max D).

        The bound is equal to ‖A‖ for a single coil whose mask is constant along every cropped axis,
        and where all of k-space is measured.
        """
        axes = self.domain.ndim
        most = per_sample(self._counts(torch.float64), axes)
        if self.scan.coils is not None:
            coils = self._the_maps().detach().abs().square().sum(-axes - 1)
            most = most * per_sample(coils, axes)
        return most.sqrt() if isinstance(most, Tensor) else math.sqrt(most)

    def compute_norm(self) -> Norm:
        """‖A‖ in closed form where :meth:`norm_bound` is exact, otherwise by the method of Lanczos.

        The image is divided into blocks that A*A does not mix, such as its rows where the mask
        numbers columns; ‖A‖ is the largest of their norms. All blocks of all samples, with masks or
        maps of their own, are estimated together, in some twenty applications, where the crowded
        singular values of the whole image would take a hundred. Each stops when it has converged,
        and among several samples when it has reached its bound to 1e-5, which takes one or two
        applications where the centre of k-space is measured. The norm of a mask is computed only
        once.
        """
        self._follow_mask()
        separable = all(
            n == N or a not in self.varying
            for a, n, N in zip(self.grid.axes, self.grid.shape, self.grid.encoded, strict=True)
        )
        if (self.scan.coils is None and separable) or not self.varying:
            return self.norm_bound()
        lead, masks, maps = self._samples()
        if not lead:
            found = lanczos_norm(self.blocks())
            return largest(require_settled(found, type(self).__name__))
        keys = [
            content_of(self.grid, *pair)
            for pair in zip(_digests(self.mask, masks), _digests(self.maps, maps), strict=True)
        ]

        def computed(missing: list[int]) -> list[float]:
            chosen = self._copy(
                self.grid,
                _chosen(self.mask, masks, missing, 1 if self.scan.coils is None else 2),
                _chosen(self.maps, maps, missing, 1),
            ).blocks()
            bound = torch.as_tensor(chosen.norm_bound(), dtype=torch.float64)
            found = lanczos_norm(chosen, bound=bound, guess=smooth_image(chosen.grid.shape))
            norms = torch.as_tensor(require_settled(found, type(self).__name__))
            return norms.to(torch.float64).expand(len(missing), -1).amax(1).tolist()

        norms = _NORMS.recall(keys, computed)
        return torch.tensor(norms, dtype=torch.float64).reshape(lead)

    def blocks(self) -> CartesianMRI:
        """The blocks of A*A, one for every place along the axes where the mask is constant.

        F* F is the identity along these axes, so that A*A acts on their places one by one. Samples
        are the first leading axis of the result and places the last one.
        """
        axes = tuple(a for a in self.grid.axes if a not in self.varying)
        if not axes:
            return self
        grid = grid_of_places(self.grid, axes)
        mask, maps = mask_of_places(self.mask, axes), maps_of_places(self.maps, axes, grid)
        return self._copy(grid, mask, maps, spec_of_places(self.scan, grid))

    def _samples(self) -> tuple[tuple[int, ...], list[Tensor | None], list[Tensor | None]]:
        """Leading axes of mask and maps, and both of each sample, without leading axes."""
        number = self.domain.ndim
        mask = _without_coils(self.mask, self.scan)
        lead = torch.broadcast_shapes(
            *([] if mask is None else [mask.shape[:-number]]),
            *([] if self.maps is None else [self.maps.shape[: -number - 1]]),
        )

        def split(tensor: Tensor | None, own: int) -> list[Tensor | None]:
            if tensor is None:
                return [None] * math.prod(lead)
            sizes = tensor.shape[-own:]
            return list(tensor.detach().expand(*lead, *sizes).reshape(-1, *sizes))

        return tuple(lead), split(mask, number), split(self.maps, number + 1)

    def _counts(self, dtype: torch.dtype) -> Tensor:
        """D: how often each point of the grid is measured, (*lead, *grid)."""
        grid = self.grid
        mask = _without_coils(self.mask, self.scan)
        if mask is None:
            mask = self.weights.new_ones([1] * len(grid.shape), dtype=torch.bool)
        lead = mask.shape[: -len(grid.shape)]
        counts = mask.to(dtype).expand(*lead, *grid.out)
        if grid.rows is None:
            return counts
        rows = torch.tensor(grid.rows, device=counts.device)
        whole = counts.new_zeros(*lead, *grid.encoded)
        return whole.index_add(grid.row_axis, rows, counts)

    def own_axes(self, name: str) -> int:
        coils = name == "maps" or self.scan.coils is not None
        return self.domain.ndim + int(coils)

    def _copy(
        self, grid: Grid, mask: Tensor | None, maps: Tensor | None, scan: Cartesian | None = None
    ) -> CartesianMRI:
        """Another operator of the same or another scan; nothing is checked."""
        twin = CartesianMRI.__new__(CartesianMRI)
        spec = self.scan if scan is None else scan
        twin._set(spec, grid, mask, maps, self.domain.dtype)  # noqa: SLF001 - of this class
        return twin

    def _the_maps(self) -> Tensor:
        if self.maps is None:
            raise GeometryError(
                describe(
                    expected=f"maps of the {self.scan.coils} coils",
                    found="none",
                    fix="give CartesianMRI its maps, or operator.with_tensors({'maps': maps})",
                )
            )
        return self.maps

    def _maps_for(self, x: Tensor) -> Tensor | None:
        return None if self.scan.coils is None else self._the_maps().to(x.dtype)

    def _constants_for(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if x.dtype == self.phases.dtype:
            return self.phases, self.weights
        return self._constants(x.dtype, x.device)

    def _constants(self, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
        """The phases before the transform, and those after it times the mask."""
        grid = self.grid
        sizes = zip(grid.encoded, grid.offsets, grid.shape, strict=True)
        before = [phases_before(*along) for along in sizes]
        after = [phases_after(n) for n in grid.encoded]
        if grid.rows is not None:
            after[grid.row_axis] = after[grid.row_axis][list(grid.rows)]
        weights = product_of_axes(after, dtype, device)
        mask = _without_coils(self.mask, self.scan)
        if mask is not None:
            weights = weights * mask
        return product_of_axes(before, dtype, device), weights

    def refresh(self) -> None:
        """Recomputation of the phases in the new precision; they are not converted."""
        device = self.phases.device
        self.phases, self.weights = self._constants(self.domain.dtype, device)

    def extra_repr(self) -> str:
        tensors = {"mask": self.mask, "maps": self.maps}
        given = [f"{name}: {tuple(t.shape)}" for name, t in tensors.items() if t is not None]
        return ", ".join([repr(self.scan), *given])


_NORMS = Memory()


def _is_shared(tensor: Tensor | None, samples: list[Tensor | None]) -> bool:
    """True if all samples have the same tensor, or none."""
    first = samples[0]
    return tensor is None or first is None or tensor.numel() == first.numel()


def _digests(tensor: Tensor | None, samples: list[Tensor | None]) -> list[bytes]:
    """The content of the tensor of every sample, looked at once where they share one."""
    if _is_shared(tensor, samples):
        return [content_of(tensor)] * len(samples)
    return [content_of(sample) for sample in samples]


def _chosen(
    tensor: Tensor | None, samples: list[Tensor | None], numbers: list[int], ones: int
) -> Tensor | None:
    """The tensors of some samples, (sample, 1, ..., *tensor); or the one that they share."""
    if tensor is None or _is_shared(tensor, samples):
        return tensor if tensor is None else tensor.detach()
    chosen = [sample for k in numbers if (sample := samples[k]) is not None]
    return torch.stack(chosen)[(slice(None), *[None] * ones)]


def _without_coils(mask: Tensor | None, spec: Cartesian) -> Tensor | None:
    """A mask (*lead, *k-space or 1)."""
    number = len(spec.shape)
    if mask is None or spec.coils is None or mask.ndim == number:
        return mask
    return mask.squeeze(-number - 1)


def _checked_maps(spec: Cartesian, maps: Tensor | None) -> Tensor | None:
    if maps is None:
        return None
    if spec.coils is None:
        raise GeometryError(
            describe(
                expected="no maps for a scan without coils",
                found=f"maps of shape {tuple(maps.shape)}",
                fix=f"write Cartesian(shape, coils={maps.shape[-len(spec.shape) - 1]})",
            )
        )
    return coil_maps(maps, (spec.coils, *spec.shape))
