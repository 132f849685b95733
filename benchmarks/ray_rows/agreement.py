"""Whether ours and ASTRA's `linear` projector compute the same numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from against import astra_toolbox
from against.astra_toolbox import AstraProjector
from learnedrecon.operators.ray_transform import RayTransform
from measuring.cases import LARGE, LODOPAB, data_for, describe_scan, image_for
from measuring.row import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from learnedrecon.operators.geometry import Geometry
    from ray_rows.settings import Settings

TARGET = 1e-4


def agreement_rows(settings: Settings) -> Iterator[Row]:
    """‖ours - theirs‖ / ‖ours‖ for random images and data; both are Joseph's method."""
    for full in (LODOPAB, LARGE):
        geometry = settings.sized(full)
        for call in ("forward", "adjoint"):
            value = None if astra_toolbox.load() is None else _difference(geometry, call)
            missing = " (missing)" if value is None else ""
            yield Row(
                "agreement",
                describe_scan(geometry),
                f"{call}, relative difference",
                ours=None,
                theirs=None,
                unit="",
                peer=f"{astra_toolbox.NAME} linear{missing}",
                value=value,
                target=TARGET,
                at_most=True,
            )


def _difference(geometry: Geometry, call: str) -> float:
    transform, projector = RayTransform(geometry), AstraProjector(geometry)
    if call == "forward":
        image = image_for(geometry)[0, 0]
        projector.image[:] = image.flip(0).numpy()
        projector.forward()
        ours, theirs = transform(image), torch.from_numpy(projector.data.copy())
    else:
        data = data_for(geometry)[0, 0]
        projector.data[:] = data.numpy()
        projector.adjoint()
        ours = transform.adjoint(data)
        theirs = torch.from_numpy(projector.image.copy()).flip(0)
    projector.close()
    ours, theirs = ours.double(), theirs.double()
    return float((ours - theirs).norm() / ours.norm())
