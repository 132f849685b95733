"""Geometry files in the conventions of ASTRA and scikit-image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml

from learnedrecon.config.yaml_file import read_config, read_geometry, read_operator, write_geometry
from learnedrecon.data.pairs import read_geometry as read_sample_geometry
from learnedrecon.errors import ConfigError, FileFormatError, GeometryError
from learnedrecon.operators.adapters.astra_geometry import geometry_from_astra
from learnedrecon.operators.adapters.skimage_geometry import geometry_from_skimage

if TYPE_CHECKING:
    from pathlib import Path

VOLUME = {"GridRowCount": 8, "GridColCount": 9, "option": {}}
RAYS = {
    "type": "parallel",
    "DetectorWidth": 0.9,
    "DetectorCount": 14,
    "ProjectionAngles": [0.1, 2.0],
}
ASTRA = {"convention": "astra", "proj_geom": RAYS, "vol_geom": VOLUME}
SKIMAGE = {"convention": "skimage", "shape": [8, 8], "theta": [0, 45.0, 120], "circle": False}


def written(folder: Path, values: object) -> Path:
    path = folder / "g.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def test_a_file_of_astra(tmp_path: Path) -> None:
    path = written(tmp_path, ASTRA)
    for read in (read_geometry, read_operator, read_sample_geometry):
        assert read(path) == geometry_from_astra(RAYS, VOLUME)
    write_geometry(tmp_path / "ours.yaml", read_geometry(path))
    assert read_geometry(tmp_path / "ours.yaml") == geometry_from_astra(RAYS, VOLUME)


def test_vectors_in_a_file_beside_it(tmp_path: Path) -> None:
    vectors = np.array([[0.1, 1.0, 0.2, 0.0, 0.9, 0.1], [1.0, 0.1, 0.0, 0.1, 0.0, 0.8]])
    np.save(tmp_path / "v.npy", vectors)
    rays = {"type": "parallel_vec", "DetectorCount": 14, "Vectors": "v.npy"}
    path = written(tmp_path, {**ASTRA, "proj_geom": rays})
    assert read_geometry(path) == geometry_from_astra({**rays, "Vectors": vectors}, VOLUME)


def test_a_file_of_scikit_image(tmp_path: Path) -> None:
    path = written(tmp_path, {**SKIMAGE, "pixel_size": 0.5})
    expected = geometry_from_skimage((8, 8), [0, 45.0, 120], circle=False, pixel_size=0.5)
    assert read_geometry(path) == expected
    assert expected.data_shape == (12, 3)


def test_the_operator_of_a_configuration(tmp_path: Path) -> None:
    values = {
        "operator": SKIMAGE,
        "model": {"name": "fbp"},
        "data": {"train": {"name": "ellipses"}},
    }
    values["data"] |= {"validation": {"name": "ellipses"}, "test": {"name": "ellipses"}}  # type: ignore[operator]
    config = read_config(written(tmp_path, values))
    assert config.operator == geometry_from_skimage((8, 8), [0, 45.0, 120], circle=False)


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        ({"convention": "odl"}, ConfigError, "one of astra, skimage"),
        ({"convention": ["astra"]}, ConfigError, "one of astra, skimage"),
        ({"convention": "astra", "proj_geom": RAYS}, ConfigError, "proj_geom, vol_geom"),
        ({**SKIMAGE, "name": "x"}, ConfigError, "perhaps circle, pixel_size"),
        ({**SKIMAGE, "circle": "no"}, ConfigError, "circle true or false"),
        ({**SKIMAGE, "theta": "missing.npy"}, FileFormatError, "no such file"),
        ({**SKIMAGE, "theta": {"a": 1}}, GeometryError, "angles"),
        ({**SKIMAGE, "shape": 8}, GeometryError, "shape"),
        ({**ASTRA, "vol_geom": 3}, GeometryError, "'GridColCount'"),
        ({**ASTRA, "proj_geom": 3}, GeometryError, "'type'"),
    ],
)
def test_refuses(tmp_path: Path, values: object, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        read_geometry(written(tmp_path, values))
