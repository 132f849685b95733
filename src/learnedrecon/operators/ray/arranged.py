"""Ray transforms on arrays whose axes stand as another library, or a scanner, writes them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from learnedrecon.errors import GeometryError, describe
from learnedrecon.operators.fields import require_kind, store
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.ray.beam2d import Beam2D
from learnedrecon.operators.ray.beam3d import Beam3D
from learnedrecon.operators.ray.geometry3d import Geometry3D
from learnedrecon.operators.ray.planar import PlanarGeometry
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transform3d import RayTransform3D
from learnedrecon.operators.space import Space

if TYPE_CHECKING:
    from collections.abc import Sequence

    from learnedrecon.operators.leading import Norm

T = TypeVar("T")

_IMAGE = {2: ("y", "x"), 3: ("z", "y", "x")}
_DATA = {2: ("angle", "column"), 3: ("angle", "row", "column")}


@dataclass(frozen=True)
class Arranged:
    """A scan whose images and data have other axes than those of a ray transform.

    Attributes:
        geometry: Scan in coordinates of this library.
        image_axes: Names of the axes of images in their order, from "z", "y", "x"; one that is
            written "-y" has its first entry at the largest y. Those of this library unless given.
        data_axes: Names of the axes of data, from "angle", "row", "column" (no rows in 2D), the
            columns being the pixels of a line detector.

    Raises:
        GeometryError: The geometry is none, or an axis is not named exactly once.
    """

    geometry: PlanarGeometry | Geometry3D
    image_axes: tuple[str, ...] = ()
    data_axes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        kinds: tuple[type, ...] = (Beam2D, Beam3D)
        if not isinstance(self.geometry, kinds):
            require_kind(self.geometry, Beam2D, "Arranged(T.geometry, ('-y', 'x'))")
        store(self, "image_axes", tuple)
        store(self, "data_axes", tuple)
        number = len(self.geometry.shape)
        _require_axes("image_axes", self.image_order, _IMAGE[number])
        _require_axes("data_axes", self.data_order, _DATA[number])

    @property
    def image_order(self) -> tuple[str, ...]:
        """The names of the axes of images."""
        return self.image_axes or _IMAGE[len(self.geometry.shape)]

    @property
    def data_order(self) -> tuple[str, ...]:
        """The names of the axes of data."""
        return self.data_axes or _DATA[len(self.geometry.shape)]

    def at(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A shape of images in this order, as this library has them."""
        return _sizes(shape, _plain(self.image_order), _IMAGE[len(self.geometry.shape)])

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Of images in this order."""
        return _sizes(self.geometry.shape, _IMAGE[len(self.geometry.shape)], self.image_order)

    @property
    def pixel(self) -> tuple[float, ...]:
        """The pixel size of images in mm, in this order."""
        return _sizes(self.geometry.pixel, _IMAGE[len(self.geometry.shape)], self.image_order)

    @property
    def data_shape(self) -> tuple[int, ...]:
        """Of data in this order."""
        return _sizes(self.geometry.data_shape, _DATA[len(self.geometry.shape)], self.data_order)

    def subset(self, rows: Sequence[int]) -> Arranged:
        """The same scan with the angles ``rows`` only."""
        return replace(self, geometry=self.geometry.subset(rows))


class ArrangedTransform(LinearOperator):
    """The ray transform between images and data whose axes stand in another order.

    Q T P* with the ray transform T and permutations P and Q, so adjoint, norms and filtered
    backprojection are those of T.

    Args:
        arranged: Scan and the order of its axes.
        dtype: float32 or float64, the dtype of elements that the spaces create.

    Attributes:
        ray: T, on images and data as this library has them.

    Raises:
        GeometryError: The argument is not an :class:`Arranged`.

    Shapes: (..., *image_shape) to (..., *data_shape), see :class:`Arranged`.
    """

    spec: Arranged
    ray: LinearOperator

    def __init__(self, arranged: Arranged, dtype: torch.dtype = torch.float32) -> None:
        require_kind(arranged, Arranged, "ArrangedTransform(Arranged(geometry, ('-y', 'x')))")
        self._set(arranged, ray_transform(arranged.geometry, dtype))

    def _set(self, arranged: Arranged, ray: LinearOperator) -> None:
        dtype = ray.domain.dtype
        super().__init__(Space(arranged.image_shape, dtype), Space(arranged.data_shape, dtype))
        self.spec = arranged
        self.ray = ray
        number = len(arranged.geometry.shape)
        self._image = _Order(arranged.image_order, _IMAGE[number])
        self._data = _Order(arranged.data_order, _DATA[number])
        self.row_axis = _plain(arranged.data_order).index("angle") - len(arranged.data_order)

    def evaluate(self, u: Tensor) -> Tensor:
        return self.data_as_given(self.ray.evaluate(self.image_as_ours(u)))

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return self.image_as_given(self.ray.evaluate_adjoint(self.data_as_ours(v)))

    def image_as_ours(self, u: Tensor) -> Tensor:
        """An image (..., *image_shape) as (..., y, x) or (..., z, y, x)."""
        return self._image.ours(u)

    def image_as_given(self, u: Tensor) -> Tensor:
        """The inverse of :meth:`image_as_ours`."""
        return self._image.given(u)

    def data_as_ours(self, v: Tensor) -> Tensor:
        """Data (..., *data_shape) as (..., angle, column) or (..., angle, row, column)."""
        return self._data.ours(v)

    def data_as_given(self, v: Tensor) -> Tensor:
        """The inverse of :meth:`data_as_ours`."""
        return self._data.given(v)

    def restrict(self, rows: tuple[int, ...]) -> ArrangedTransform:
        twin = ArrangedTransform.__new__(ArrangedTransform)
        if "-angle" in self.spec.data_order:
            last = self.spec.geometry.data_shape[0] - 1
            rows = tuple(last - row for row in rows)[::-1]
        twin._set(self.spec.subset(rows), self.ray.restrict(rows))  # noqa: SLF001 - of this class
        return twin

    def compute_norm(self) -> Norm:
        """‖T‖ in mm, that of the ray transform."""
        return self.ray.compute_norm()

    def norm_bound(self) -> Norm | None:
        """‖T‖ in mm from above, that of the ray transform."""
        return self.ray.norm_bound()

    def extra_repr(self) -> str:
        return f"{self.spec.image_order}, {self.spec.data_order}"


def ray_transform(
    geometry: PlanarGeometry | Geometry3D, dtype: torch.dtype = torch.float32
) -> RayTransform | RayTransform3D:
    """The ray transform of a geometry in two or three dimensions.

    Args:
        geometry: Scan of an image or a volume.
        dtype: float32 or float64, the dtype of elements that the spaces create.
    """
    if isinstance(geometry, Beam3D):
        return RayTransform3D(geometry, dtype)
    return RayTransform(geometry, dtype)


class _Order:
    """A permutation of last axes, some of them reversed."""

    def __init__(self, given: tuple[str, ...], ours: tuple[str, ...]) -> None:
        names = _plain(given)
        number = len(given)
        self._to_ours = [names.index(name) for name in ours]
        self._to_given = [ours.index(name) for name in names]
        self._flips = [k - number for k, name in enumerate(given) if name.startswith("-")]

    def ours(self, x: Tensor) -> Tensor:
        return _permuted(x.flip(self._flips) if self._flips else x, self._to_ours)

    def given(self, x: Tensor) -> Tensor:
        x = _permuted(x, self._to_given)
        return x.flip(self._flips) if self._flips else x


def _permuted(x: Tensor, order: list[int]) -> Tensor:
    lead = x.ndim - len(order)
    return x.permute(*range(lead), *(lead + axis for axis in order))


def _sizes(sizes: tuple[T, ...], ours: tuple[str, ...], given: tuple[str, ...]) -> tuple[T, ...]:
    by_name = dict(zip(ours, sizes, strict=True))
    return tuple(by_name[name] for name in _plain(given))


def _plain(axes: tuple[str, ...]) -> tuple[str, ...]:
    """The names without signs."""
    return tuple(name.removeprefix("-") for name in axes)


def _require_axes(field: str, found: tuple[str, ...], axes: tuple[str, ...]) -> None:
    plain = [name.removeprefix("-") if isinstance(name, str) else name for name in found]
    if len(plain) != len(axes) or set(plain) != set(axes):
        raise GeometryError(
            describe(
                expected=f"{field} with each of {', '.join(axes)} once, '-' before a reversed one",
                found=f"{found!r:.80}",
                fix=f"write for example {list(axes)}",
            )
        )
