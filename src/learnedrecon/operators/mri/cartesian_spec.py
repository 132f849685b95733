"""The configuration of a Cartesian MRI scan."""

from __future__ import annotations

from dataclasses import dataclass

from learnedrecon.errors import GeometryError, describe
from learnedrecon.operators.fields import count, require_room, store


@dataclass(frozen=True)
class Cartesian:
    """The configuration of :class:`CartesianMRI`: sizes, without tensors.

    Attributes:
        shape: Shape of the image, (ny, nx) or (nz, ny, nx).
        coils: Number of receive coils with sensitivity maps; None for a single coil without a map.
        encoded: Shape of k-space, (ky, kx) or (kz, ky, kx); None for the shape of the image. The
            image is the centred part of the encoded grid: with readout oversampling (640, 320) for
            an image (320, 320). Its pixel n // 2 is pixel N // 2 of the grid.
        row_axis: Phase-encoding axis of k-space along which `subset` counts, negative.

    Raises:
        GeometryError: Sizes are not positive or do not fit each other, or there is no such axis.
    """

    shape: tuple[int, ...]
    coils: int | None = None
    encoded: tuple[int, ...] | None = None
    row_axis: int = -1

    def __post_init__(self) -> None:
        """Turns lists into tuples, so that specs hash, and checks them."""
        store(self, "shape", _counts)
        store(self, "encoded", lambda sizes: None if sizes is None else _counts(sizes))
        store(self, "coils", lambda number: None if number is None else count(number))
        store(self, "row_axis", count)
        coils = 1 if self.coils is None else self.coils
        if len(self.shape) not in {2, 3} or min(self.shape) < 1 or coils < 1:
            raise GeometryError(
                describe(
                    expected="a shape (ny, nx) or (nz, ny, nx), and at least one coil or None",
                    found=f"shape = {self.shape}, coils = {self.coils}",
                    fix="give the image without batch, channel and coil axes",
                )
            )
        too_small = any(n > N for n, N in zip(self.shape, self.grid, strict=False))
        if len(self.grid) != len(self.shape) or too_small:
            raise GeometryError(
                describe(
                    expected=f"a k-space at least as large as the image {self.shape}, axis by axis",
                    found=f"encoded = {self.grid}",
                    fix="give the sizes of k-space before it is cropped, in the image's order",
                )
            )
        require_room((coils, *self.grid), "data (coils, *k-space)")
        if not -len(self.shape) <= self.row_axis < 0:
            raise GeometryError(
                describe(
                    expected=f"row_axis from -{len(self.shape)} to -1",
                    found=f"row_axis = {self.row_axis}",
                    fix="name the phase-encoding axis of k-space, -1 for the last one",
                )
            )

    @property
    def grid(self) -> tuple[int, ...]:
        """The shape of k-space."""
        return self.shape if self.encoded is None else self.encoded


def _counts(sizes: object) -> tuple[int, ...]:
    return tuple(map(count, sizes))  # type: ignore[call-overload]
