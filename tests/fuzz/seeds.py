"""Whole files of every format that is read, and what reads them."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import h5py
import numpy as np
import pydicom
import tifffile
import torch
from PIL import Image
from pydicom.data import get_testdata_file
from safetensors.torch import save
from tests.config.hostile import changed
from tests.config.spec_examples import EXAMPLES, REGISTRIES
from tests.fuzz.mutations import mutated
from tests.kspace_files import Scan, write_scan
from tests.raw_mri_scans import RawScan, write_raw

from learnedrecon.config.schema import Config, DataConfig
from learnedrecon.config.yaml_file import dump_config, dump_operator, read_config, read_operator
from learnedrecon.data.datasets import EllipseSpec
from learnedrecon.data.files.angles import read_angles
from learnedrecon.data.files.arrays import array_header, read_array
from learnedrecon.data.files.dicom import dicom_header, dicom_subject, read_attenuation
from learnedrecon.data.files.exchange import read_data_exchange
from learnedrecon.data.files.hdf5 import broken_links, list_datasets, open_hdf5
from learnedrecon.data.files.nexus import read_nxtomo
from learnedrecon.data.files.nifti import nifti_header, write_nifti
from learnedrecon.data.kspace.files import read_kspace
from learnedrecon.data.kspace.folder import kspace_folder
from learnedrecon.data.kspace.images import magnitude_volume
from learnedrecon.data.kspace.slices import read_slice
from learnedrecon.data.layout import find_layout
from learnedrecon.data.noise import PoissonLog
from learnedrecon.data.pairs import read_geometry
from learnedrecon.data.simulate import Simulation
from learnedrecon.data.summary import inspect_folder
from learnedrecon.data.yaml_text import dump_yaml
from learnedrecon.experiments.data_report import look_at
from learnedrecon.models.registry import MODELS
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.specs import named_to_plain, to_plain
from learnedrecon.training.loggers import JsonLines
from learnedrecon.weights import tensorfile
from learnedrecon.weights.checkpoint import load_weights

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path


class Seed(NamedTuple):
    """A whole file.

    Attributes:
        name: of the kind of file.
        ending: of file names.
        content: of the file.
        readers: each must take the file or explain why not.
        mutate: what damages it.
    """

    name: str
    ending: str
    content: bytes
    readers: tuple[Callable[[Path], object], ...]
    mutate: Callable[[bytes, random.Random], bytes] = mutated


def seeds(folder: Path) -> list[Seed]:
    """All of them; the folder is for files that a library can write to disk alone."""
    return [
        *_arrays(folder),
        *_hdf5(folder),
        *_kspace(folder),
        *_nifti(folder),
        *_slices(folder),
        *_texts(),
        *_weights(),
    ]


def _arrays(folder: Path) -> list[Seed]:
    values = np.random.default_rng(0).normal(size=(2, 7, 9))
    readers = (read_array, array_header, look_at)
    found = []
    for name, array in (
        ("npy", values[0].astype(np.float32)),
        ("npy", values.astype(">c8")),
        ("npy", np.asfortranarray(values[0].astype(np.int16))),
    ):
        file = io.BytesIO()
        np.save(file, array)
        found.append(Seed(name, ".npy", file.getvalue(), readers))
    grey = (1000 * values[0]).astype(np.uint16)
    every: list[dict[str, Any]] = [
        {},
        {"compression": "zlib", "predictor": True},
        {"tile": (16, 16)},
    ]
    for number, options in enumerate(every):
        path = folder / f"{number}.tif"
        tifffile.imwrite(path, grey, **options)
        found.append(Seed("tiff", ".tif", path.read_bytes(), readers))
    tifffile.imwrite(folder / "stack.tif", np.stack([grey, grey]), imagej=True)
    found.append(Seed("tiff", ".tif", (folder / "stack.tif").read_bytes(), readers))
    with tifffile.TiffWriter(folder / "pages.tif") as pages:
        pages.write(grey)
        pages.write(grey)
    found.append(Seed("tiff", ".tif", (folder / "pages.tif").read_bytes(), readers))
    np.savez_compressed(folder / "a.npz", values=grey)
    found.append(Seed("npz", ".npz", (folder / "a.npz").read_bytes(), readers))
    for ending, options in ((".tif", {"compression": "tiff_lzw"}), (".png", {})):
        for picture in (grey, grey.astype(np.uint8)):
            path = folder / f"p{ending}"
            Image.fromarray(picture).save(path, **options)
            found.append(Seed("tiff-lzw" if options else "png", ending, path.read_bytes(), readers))
    return found


def _hdf5(folder: Path) -> list[Seed]:
    rng = np.random.default_rng(1)
    names = ("plain", "chunks", "pairs", "groups", "exchange", "nxtomo")
    paths = [folder / f"{name}.h5" for name in names]
    np.save(folder / "other.npy", rng.random(4))
    with h5py.File(paths[0], "w") as file:
        file["data"] = rng.random((5, 6))
    with h5py.File(paths[1], "w") as file:
        file.create_dataset(
            "a", data=rng.random((9, 8)), chunks=(4, 8), compression="gzip", shuffle=True
        )
        file["text"] = ["a", "b"]
        file["soft"] = h5py.SoftLink("/a")
        file["outside"] = h5py.ExternalLink("plain.h5", "/data")
        layout = h5py.VirtualLayout((5, 6), "f8")
        layout[:] = h5py.VirtualSource("plain.h5", "data", (5, 6))
        file.create_virtual_dataset("virtual", layout)
    with h5py.File(paths[2], "w") as file:
        file["measurement"], file["truth"] = rng.random((3, 4, 5)), rng.random((3, 6, 6))
    with h5py.File(paths[3], "w", libver="latest") as file:
        for name in ("a", "b"):
            file[f"measurement/{name}"], file[f"truth/{name}"] = (
                rng.random((4, 5)),
                rng.random((6, 6)),
            )
    with h5py.File(paths[4], "w") as file:
        file["exchange/data"] = rng.integers(500, 900, (6, 1, 7))
        file["exchange/data_white"] = np.full((2, 1, 7), 1000)
        file["exchange/data_dark"] = np.full((2, 1, 7), 10)
        file["exchange/theta"] = np.arange(6) * 30.0
        file["exchange/theta"].attrs["units"] = "degrees"
    with h5py.File(paths[5], "w") as file:
        file["entry/data/data"] = rng.integers(500, 900, (8, 2, 7))
        file["entry/data/image_key"] = np.array([1, 2, 0, 0, 0, 0, 0, 0])
        file["entry/sample/rotation_angle"] = np.arange(8) * 30.0
        file["entry/sample/rotation_angle"].attrs["units"] = "deg"
    readers = (_everything, read_array, find_layout, look_at)
    special: dict[str, tuple[Callable[[Path], object], ...]] = {
        "pairs": (_pairs, inspect_folder),
        "groups": (_pairs, inspect_folder),
        "exchange": (_corrected,),
        "nxtomo": (read_nxtomo,),
    }
    return [
        Seed("hdf5", ".h5", path.read_bytes(), (*special.get(path.stem, ()), *readers))
        for path in paths
    ]


def _kspace(folder: Path) -> list[Seed]:
    scan = Scan(matrix=(8, 8), kspace=(12, 10), slices=2, coils=2, padding=1)
    content = write_scan(folder / "scan.h5", scan).read_bytes()
    raw = write_raw(folder / "raw.h5", RawScan(lines=tuple(range(4, 36, 4)))).read_bytes()
    readers = (_slices_of_kspace, kspace_folder, look_at)
    return [Seed("fastmri", ".h5", content, readers), Seed("ismrmrd", ".h5", raw, readers)]


def _nifti(folder: Path) -> list[Seed]:
    volume = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    found = []
    for ending in (".nii", ".nii.gz"):
        path = folder / f"volume{ending}"
        write_nifti(path, volume, (3.0, 1.0, 1.0))
        readers = (nifti_header, read_array, magnitude_volume)
        found.append(Seed("nifti", ending, path.read_bytes(), readers))
    return found


def _slices_of_kspace(path: Path) -> None:
    file = read_kspace(path)
    for number in range(min(file.shape[0], 3)):
        read_slice(file, number)
        file.reference_image(number)


def _everything(path: Path) -> None:
    with open_hdf5(path) as file:
        keys = [*list_datasets(file), *broken_links(file)]
    for key in keys[:8]:
        array_header(path, key)
        read_array(path, key)


def _pairs(path: Path) -> None:
    for pair in find_layout(path).pairs()[:9]:
        for array in (pair.measurement, pair.truth):
            if array is not None:
                array.shape()
                array.read()


def _corrected(path: Path) -> None:
    read_data_exchange(path).line_integrals()


def _slices(folder: Path) -> list[Seed]:
    readers = (read_attenuation, dicom_header, dicom_subject, look_at)
    found = []
    for kind in ("plain", "rle", "deflated"):
        dataset = pydicom.dcmread(str(get_testdata_file("CT_small.dcm", download=False)))
        if kind == "rle":
            dataset.compress(pydicom.uid.RLELossless)
        if kind == "deflated":
            dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
        if kind == "plain":
            dataset.PixelPaddingValue = -2000
            dataset.NumberOfFrames = 1
            dataset.RescaleType = "HU"
        path = folder / f"{kind}.dcm"
        dataset.save_as(path)
        mutate = _tags if kind != "deflated" else mutated
        found.append(Seed("dicom", ".dcm", path.read_bytes(), readers, mutate))
    return found


WANTED = tuple(
    f"{word:08x}"
    for word in (0x00280008, 0x00281052, 0x00281053, 0x00281054, 0x00280120, 0x00280004, 0x00280030)
)
VALUES = (b"x ", b"1\\2 ", b"", b"HU\\US ", b"1e300 ", b"nan ", b"-1", b"\xff\xff", b"9" * 40)


def _tags(content: bytes, rng: random.Random) -> bytes:
    """Half of the time another value of a tag that is looked at, half of the time any damage."""
    if rng.random() < 0.5:
        return mutated(content, rng)
    word = int(rng.choice(WANTED), 16)
    tag = (word >> 16).to_bytes(2, "little") + (word & 0xFFFF).to_bytes(2, "little")
    place = content.find(tag)
    if place < 0:
        return mutated(content, rng)
    size = int.from_bytes(content[place + 6 : place + 8], "little")
    value = rng.choice(VALUES)
    kind = rng.choice((content[place + 4 : place + 6], b"UL", b"UN", b"XX", b"SQ"))
    head = tag + kind + len(value).to_bytes(2, "little") + value
    return content[:place] + head + content[place + 8 + size :]


def _texts() -> list[Seed]:
    beam = ParallelBeam((8, 9), AngleRange(5), FlatDetector(11))
    data = DataConfig(
        EllipseSpec(split="train"),
        EllipseSpec(split="validation"),
        EllipseSpec(split="test"),
        Simulation(PoissonLog(10.0)),
    )
    config = Config(beam, MODELS["filtered_primal_dual"].spec(), data)
    operators = [named_to_plain(REGISTRIES["operator"], spec) for spec in EXAMPLES["operator"]]
    plains = [to_plain(config), *operators, *CONVENTIONS]

    def structured(content: bytes, rng: random.Random) -> bytes:
        del content
        try:
            text = dump_yaml(changed(rng.choice(plains), rng)).encode("utf-8", "surrogatepass")
        except ValueError:  # integers of more digits than Python prints
            text = b"name: blur\nshape: [" + b"9" * 6001 + b"]"
        return mutated(text, rng) if rng.random() < 0.3 else text

    records = "".join(
        json.dumps({"step": k, "event": "train", "loss": 0.5}) + "\n" for k in range(4)
    )
    geometry, whole = dump_operator(beam).encode(), dump_config(config).encode()
    operator_readers = (read_geometry, read_operator)
    angles = "\n".join(["angle", *(f"{k * 30.5}" for k in range(6))]).encode()
    return [
        Seed("angles", ".txt", angles, (_angles,)),
        Seed("geometry", ".yaml", geometry, operator_readers),
        Seed("geometry", ".yaml", geometry, operator_readers, structured),
        Seed("config", ".yaml", whole, (read_config,)),
        Seed("config", ".yaml", whole, (read_config,), structured),
        Seed("metrics", ".jsonl", records.encode(), (_records,)),
    ]


CONVENTIONS: tuple[dict[str, Any], ...] = (
    {"convention": "skimage", "shape": [8, 8], "theta": [0.0, 45.0], "circle": False},
    {
        "convention": "astra",
        "proj_geom": {
            "type": "cone",
            "DetectorSpacingX": 1.0,
            "DetectorSpacingY": 1.0,
            "DetectorRowCount": 4,
            "DetectorColCount": 5,
            "ProjectionAngles": [0.0, 1.5],
            "DistanceOriginSource": 30.0,
            "DistanceOriginDetector": 9.0,
        },
        "vol_geom": {"GridRowCount": 4, "GridColCount": 5, "GridSliceCount": 3, "option": {}},
    },
    {
        "convention": "astra",
        "proj_geom": {"type": "fanflat_vec", "DetectorCount": 7, "Vectors": [[0, -9, 0, 9, 1, 0]]},
        "vol_geom": {"GridRowCount": 4, "GridColCount": 5, "option": {"WindowMinX": -3}},
    },
)


def _angles(path: Path) -> None:
    read_angles(path, unit="degrees")


def _records(path: Path) -> None:
    JsonLines(path).read()


def _weights() -> list[Seed]:
    model = MODELS["filtered_primal_dual"].spec(iterations=1, hidden=2)
    content = {
        "model": named_to_plain(MODELS, model),
        "operator": named_to_plain(REGISTRIES["operator"], EXAMPLES["operator"][0]),
        "fidelity": "least_squares",
        "extra": {"step": 3},
    }
    tensors = {"model.x": torch.ones(2, 2), "pairs": torch.ones(3, 2)}

    def signed(values: Any, names: Any) -> bytes:
        texts = {"complex": _json(names), "content": _json(values)}
        header = {"format": "learnedrecon", "version": "1"}
        return save(tensors, {**header, **texts, "sha256": tensorfile._digest(tensors, texts)})

    def resigned(whole: bytes, rng: random.Random) -> bytes:
        del whole
        if rng.random() < 0.2:
            return signed(content, changed(["pairs"], rng))
        return signed(changed(content, rng), ["pairs"])

    whole = signed(content, ["pairs"])
    readers = (tensorfile.read_tensors, load_weights)
    return [
        Seed("safetensors", ".safetensors", whole, readers),
        Seed("safetensors", ".safetensors", whole, readers, resigned),
    ]


def _json(values: Any) -> str:
    try:
        return json.dumps(values)
    except ValueError:  # integers of more digits than Python prints
        return "[" * 3000
