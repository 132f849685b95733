"""The Cartesian transform of many coils on plain tensors, a few coils at a time.

Every coil is multiplied by its map, transformed and multiplied by the weights while it is in the
processor's cache; on other devices all coils are transformed at once. Where only some lines are
measured, the axes that number the lines are transformed first, and the others on those lines only.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.fft import fftn, ifftn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from learnedrecon.operators.mri.measured_lines import Grid, Lines

_CACHED = 2**17  # complex numbers per thread; more would not stay in its cache


class Job(NamedTuple):
    """The arguments of one call, with leading axes flattened to samples.

    Attributes:
        grid: Sizes and constants of the transform.
        maps: Coil maps (samples, coils, *shape), or None.
        weights: Weights (samples or 1, *out); in a part, those of its lines only.
        lines: Measured lines, for a call that computes some lines only.
        of_sample: Number of each sample's mask in ``lines``.
        samples: Number of samples.
        coils: Number of coils, 1 where there are no maps.
    """

    grid: Grid
    maps: Tensor | None
    weights: Tensor
    lines: Lines | None
    of_sample: list[int]
    samples: int
    coils: int

    def of_samples(self, b: slice) -> Job:
        """The job of some samples, which share their lines."""
        maps = None if self.maps is None else self.maps[b]
        weights = (self.weights if self.weights.shape[0] == 1 else self.weights[b]).unsqueeze(1)
        part = self._replace(maps=maps, weights=weights, of_sample=self.of_sample[b])
        if self.lines is None:
            return part
        return part._replace(weights=_take(weights, self.lines.axes, part.places[1]))

    def of_coils(self, c: slice) -> Job:
        """The job of some coils."""
        return self if self.maps is None else self._replace(maps=self.maps[:, c])

    @property
    def places(self) -> tuple[Tensor, Tensor]:
        """The places of the first sample's lines in the grid and in the data."""
        assert self.lines is not None
        return self.lines.places[self.of_sample[0]]


def sense_forward(
    u: Tensor, maps: Tensor | None, weights: Tensor, grid: Grid, lines: Lines | None
) -> Tensor:
    """The data w · R F P (S_c · u): coil maps, zero padding, unitary FFT, rows, weights.

    Args:
        u: Image, (*lead, *shape), complex.
        maps: Coil maps, (*lead, coil, *shape), or None for one coil without a map and without an
            axis.
        weights: Weights w of k-space, (*lead, *out), complex.
        grid: Sizes and constants of the transform.
        lines: Measured lines, outside of which the weights are zero, or None.

    Returns:
        Data (*lead, coil, *out), without the coil axis where there are no maps.
    """
    lead, job = _job(u.shape, u, maps, weights, grid, lines)
    image = _samples(u, lead, grid)
    out = u.new_empty(job.samples, job.coils, *grid.out)
    act = _forward_all if job.lines is None else _forward_lines
    for b, c, part in _parts(job):
        act(image[b].unsqueeze(1), part, out[b, c])
    coils = () if maps is None else (job.coils,)
    return out.reshape(*lead, *coils, *grid.out)


def sense_adjoint(
    v: Tensor, maps: Tensor | None, weights: Tensor, grid: Grid, lines: Lines | None
) -> Tensor:
    """The image Σ_c conj(S_c) · P* F* R* (conj(w) · v), the adjoint of :func:`sense_forward`.

    Args:
        v: Data, (*lead, coil, *out), complex; without the coil axis where there are no maps.
        maps: Coil maps, as in :func:`sense_forward`.
        weights: Weights of k-space, as in :func:`sense_forward`.
        grid: Sizes and constants of the transform.
        lines: Measured lines, as in :func:`sense_forward`.

    Returns:
        Image (*lead, *shape).
    """
    number = len(grid.shape)
    shape = v.shape if maps is None else (*v.shape[: -number - 1], *v.shape[-number:])
    lead, job = _job(shape, v, maps, weights.conj().resolve_conj(), grid, lines)
    data = v.expand(*lead, *v.shape[-number - (maps is not None) :])
    data = data.reshape(job.samples, job.coils, *grid.out)
    total = torch.zeros((job.samples, *grid.shape), dtype=v.dtype, device=v.device)
    act = _adjoint_all if job.lines is None else _adjoint_lines
    for b, c, part in _parts(job):
        _add_coils(total[b], act(data[b, c], part), part.maps)
    if maps is not None:
        total = total.conj_physical_()
    return total.reshape(*lead, *grid.shape)


def _job(  # noqa: PLR0917 - by position in torch's calls
    shape: tuple[int, ...],
    x: Tensor,
    maps: Tensor | None,
    weights: Tensor,
    grid: Grid,
    lines: Lines | None,
) -> tuple[tuple[int, ...], Job]:
    number = len(grid.shape)
    leads = [shape[:-number], weights.shape[:-number]]
    leads += [] if maps is None else [maps.shape[: -number - 1]]
    lead = tuple(torch.broadcast_shapes(*leads))
    samples = math.prod(lead)
    if x.device.type != "cpu":
        lines = None
    of_sample = [0] * samples
    if lines is not None and len(lines.places) > 1:
        order = torch.arange(len(lines.places)).reshape(weights.shape[:-number])
        of_sample = order.expand(lead).flatten().tolist()
    if weights.shape[:-number].numel() == 1:
        weights = weights.reshape(1, *grid.out)
    else:
        weights = _samples(weights, lead, grid)
    coils = 1
    if maps is not None:
        coils = maps.shape[-number - 1]
        maps = maps.expand(*lead, coils, *grid.shape).reshape(samples, coils, *grid.shape)
    return lead, Job(grid, maps, weights, lines, of_sample, samples, coils)


def _samples(x: Tensor, lead: tuple[int, ...], grid: Grid) -> Tensor:
    """(*lead or less, *sizes) as (samples, *sizes)."""
    sizes = x.shape[-len(grid.shape) :]
    return x.expand(*lead, *sizes).reshape(-1, *sizes)


def _parts(job: Job) -> Iterator[tuple[slice, slice, Job]]:
    """Samples and coils that are done together, and their factors."""
    most = job.samples * job.coils
    if job.weights.device.type == "cpu":
        most = max(1, torch.get_num_threads() * _CACHED // math.prod(job.grid.encoded))
    together = max(1, most // job.coils)
    if len(set(job.of_sample)) > 1:
        together = 1
    for first in range(0, job.samples, together):
        b = slice(first, first + together)
        part = job.of_samples(b)
        for coil in range(0, job.coils, most):
            c = slice(coil, coil + most)
            yield b, c, part.of_coils(c)


def _forward_all(image: Tensor, job: Job, out: Tensor) -> None:
    grid = job.grid
    coils = _padded(image, job.maps, grid, grid.axes)
    spectrum = fftn(coils, dim=grid.axes, norm="ortho")
    if grid.rows is not None:
        rows = torch.tensor(grid.rows, device=out.device)
        spectrum = spectrum.index_select(grid.row_axis, rows)
    torch.mul(spectrum, job.weights, out=out)


def _adjoint_all(data: Tensor, job: Job) -> Tensor:
    grid = job.grid
    weighted = _weighted(data, job)
    if grid.rows is not None:
        rows = torch.tensor(grid.rows, device=data.device)
        whole = weighted.new_zeros(*weighted.shape[:2], *grid.encoded)
        weighted = whole.index_add_(grid.row_axis, rows, weighted)
    return _cropped(_back(weighted, grid.axes, job), grid, grid.axes)


def _forward_lines(image: Tensor, job: Job, out: Tensor) -> None:
    """Over the axes that number the lines; then over the others, on the lines that are measured."""
    assert job.lines is not None
    grid, first, (in_grid, in_data) = job.grid, job.lines.axes, job.places
    out.zero_()
    if not len(in_data):
        return
    rest = tuple(axis for axis in grid.axes if axis not in first)
    half = fftn(_padded(image, job.maps, grid, first), dim=first, norm="ortho")
    taken = _take(half, first, in_grid)
    across = _after_flattening(rest, first)
    taken = fftn(_padded_lines(taken, grid, rest, across), dim=across, norm="ortho")
    taken = taken * job.weights  # a new tensor, in the layout that fftn leaves
    _put(out, first, in_data, taken, add=False)


def _adjoint_lines(data: Tensor, job: Job) -> Tensor:
    assert job.lines is not None
    grid, first, (in_grid, in_data) = job.grid, job.lines.axes, job.places
    rest = tuple(axis for axis in grid.axes if axis not in first)
    across = _after_flattening(rest, first)
    taken = _weighted(_take(data, first, in_data), job)
    if len(in_data):
        taken = _back(taken, across, job)
    for axis, place in zip(rest, across, strict=True):
        taken = taken.narrow(place, grid.offsets[axis], grid.shape[axis])
    sizes = [(grid.encoded if a in first else grid.shape)[a] for a in grid.axes]
    half = data.new_zeros(*data.shape[:2], *sizes)
    _put(half, first, in_grid, taken, add=job.lines.repeated)
    return _cropped(_back(half, first, job), grid, first)


def _weighted(data: Tensor, job: Job) -> Tensor:
    """conj(w) · v, or its conjugate where there are maps: see :func:`_add_coils`."""
    weighted = data * job.weights
    return weighted if job.maps is None else weighted.conj_physical_()


def _back(data: Tensor, axes: tuple[int, ...], job: Job) -> Tensor:
    """F* v, or conj(F* v) of conj(v) where there are maps."""
    return (ifftn if job.maps is None else fftn)(data, dim=axes, norm="ortho")


def _after_flattening(rest: tuple[int, ...], first: tuple[int, ...]) -> tuple[int, ...]:
    """The positions of the other axes after ``first`` have become one axis."""
    return tuple(axis + len(first) - 1 if axis < first[0] else axis for axis in rest)


def _padded(image: Tensor, maps: Tensor | None, grid: Grid, axes: tuple[int, ...]) -> Tensor:
    """S_c · u within zeros along some axes."""
    sizes = [(grid.encoded if a in axes else grid.shape)[a] for a in grid.axes]
    if sizes == list(grid.shape):
        return image if maps is None else maps * image
    lead = image.shape[:2] if maps is None else maps.shape[:2]
    whole = image.new_zeros(*lead, *sizes)
    inside = _cropped(whole, grid, axes)
    if maps is None:
        inside.copy_(image)
    else:
        torch.mul(maps, image, out=inside)
    return whole


def _padded_lines(
    taken: Tensor, grid: Grid, rest: tuple[int, ...], across: tuple[int, ...]
) -> Tensor:
    sizes = list(taken.shape)
    for axis, place in zip(rest, across, strict=True):
        sizes[place] = grid.encoded[axis]
    if sizes == list(taken.shape):
        return taken
    whole = inside = taken.new_zeros(sizes)
    for axis, place in zip(rest, across, strict=True):
        inside = inside.narrow(place, grid.offsets[axis], grid.shape[axis])
    inside.copy_(taken)
    return whole


def _cropped(x: Tensor, grid: Grid, axes: tuple[int, ...]) -> Tensor:
    for axis in axes:
        x = x.narrow(axis, grid.offsets[axis], grid.shape[axis])
    return x


def _take(x: Tensor, axes: tuple[int, ...], places: Tensor) -> Tensor:
    """The lines at some places, along what ``axes`` become when they are flattened."""
    flat, axis = _flattened(x, axes)
    if flat.stride(axis) == 1:  # several times faster than index_select
        shape = [*flat.shape]
        shape[axis] = len(places)
        return flat.gather(axis, places.reshape(-1, *[1] * (-axis - 1)).expand(shape))
    return flat.index_select(axis, places)


def _put(x: Tensor, axes: tuple[int, ...], places: Tensor, lines: Tensor, *, add: bool) -> None:
    """Writes lines to their places."""
    flat, axis = _flattened(x, axes)
    if add:
        flat.index_add_(axis, places, lines)
    elif axis == -1:
        flat.scatter_(-1, places.expand(*flat.shape[:-1], -1), lines)
    else:
        flat.index_copy_(axis, places, lines)


def _flattened(x: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, int]:
    """A view with neighbouring axes as one, and that one; ``x`` is contiguous in them."""
    if len(axes) == 1:
        return x, axes[0]
    return x.flatten(axes[0], axes[-1]), axes[-1]


def _add_coils(total: Tensor, coils: Tensor, maps: Tensor | None) -> None:
    """Adds z, or Σ_c S_c conj(z_c), which needs no conjugate of the maps."""
    if maps is None:
        total += coils[:, 0]
    elif total.device.type == "cpu":
        for c in range(coils.shape[1]):
            total.addcmul_(maps[:, c], coils[:, c])
    else:
        total += (maps * coils).sum(1)
