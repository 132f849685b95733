"""Whether ours and ASTRA's `linear` projector compute the same numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from against import astra_toolbox
from against.astra_toolbox import AstraProjector
from learnedrecon.operators.ray.transform2d import RayTransform
from measuring.cases import LARGE, LODOPAB, data_for, describe_scan, image_for
from measuring.row import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from learnedrecon.operators.ray.geometry2d import Geometry
    from ray_rows.settings import Settings

TARGET = 1e-4


def agreement_rows(settings: Settings) -> Iterator[Row]:
    """‖ours - theirs‖ / ‖ours‖ for random images and data; both are Joseph's method.

    The distance of each from our float64 path, which the tests hold to the dense matrix, says whose
    rounding the difference is.
    """
    for full in (LODOPAB, LARGE):
        geometry = settings.sized(full)
        for call in ("forward", "adjoint"):
            missing = astra_toolbox.load() is None
            distances = {} if missing else _distances(geometry, call)
            yield Row(
                "agreement",
                describe_scan(geometry),
                f"{call}, relative difference",
                ours=distances.get("ours from float64"),
                theirs=distances.get("theirs from float64"),
                unit="from float64",
                peer=f"{astra_toolbox.NAME} linear{' (missing)' if missing else ''}",
                value=distances.get("ours from theirs"),
                target=TARGET,
                at_most=True,
            )


def _distances(geometry: Geometry, call: str) -> dict[str, float]:
    transform, projector = RayTransform(geometry), AstraProjector(geometry)
    if call == "forward":
        image = image_for(geometry)[0, 0]
        projector.image[:] = image.flip(0).numpy()
        projector.forward()
        ours, theirs = transform(image), torch.from_numpy(projector.data.copy())
        exact = transform(image.double())
    else:
        data = data_for(geometry)[0, 0]
        projector.data[:] = data.numpy()
        projector.adjoint()
        ours = transform.adjoint(data)
        theirs = torch.from_numpy(projector.image.copy()).flip(0)
        exact = transform.adjoint(data.double())
    projector.close()
    return {
        "ours from theirs": _relative(theirs, ours),
        "ours from float64": _relative(ours, exact),
        "theirs from float64": _relative(theirs, exact),
    }


def _relative(a: Tensor, b: Tensor) -> float:
    return float((a.double() - b.double()).norm() / b.double().norm())
