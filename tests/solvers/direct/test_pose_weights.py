"""Weights of the rays of a pose, from the vectors of every pixel."""

from __future__ import annotations

import numpy as np
from tests.helpers import normal

from learnedrecon.solvers.direct.poses import Poses


def test_rays_are_weighted_by_the_cosine_to_the_axis() -> None:
    """A ray along d = pencil·(1, column, row) has the weight plane·⟨d, inward⟩/|d|."""
    views, rows, columns = 3, 4, 5
    pencil = normal(views, 3, 3).numpy()
    inward = normal(views, 3, seed=1).numpy()
    inward /= np.linalg.norm(inward, axis=1, keepdims=True)
    plane = 1 + np.abs(normal(views, columns, seed=2).numpy())
    poses = Poses(plane, pencil, np.zeros((views, 3)), inward, np.ones(views), (0, 0))
    row, column = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    places = np.stack([np.ones_like(row), column, row], axis=-1)
    rays = np.einsum("vij,rcj->vrci", pencil, places)
    cosine = np.einsum("vrci,vi->vrc", rays, inward) / np.linalg.norm(rays, axis=-1)
    np.testing.assert_allclose(poses.weights(slice(None), rows), plane[:, None] * cosine)
    np.testing.assert_allclose(poses.weights(slice(1, 3), rows), (plane[:, None] * cosine)[1:])
