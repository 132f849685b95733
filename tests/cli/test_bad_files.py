"""What goes wrong with measurements, geometries, weights and images: a message of three parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
import torch
from pydicom.data import get_testdata_file
from safetensors.torch import save_file

from learnedrecon.schemes.reconstructor import Estimate
from learnedrecon.weights.tensorfile import read_tensors, write_tensors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import ArrayLike
    from tests.cli.conftest import Place
    from typer.testing import Result

    Run = Callable[..., Result]
    Words = Callable[[Place], list[object]]
    Cases = tuple[tuple[str, Words, tuple[str, str, str]], ...]
    Refused = Callable[[list[object], tuple[str, str, str]], None]


GEOMETRY = """\
name: parallel_beam
shape: [16, 16]
angles: {number: 6}
detector: {pixels: 24, pitch: 1.0}
"""


def truncated(path: Path, share: float = 0.5) -> Path:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    return path


def pickled(place: Place) -> list[object]:
    path = place.folder / "weights.safetensors"
    torch.save({"weight": torch.zeros(3)}, path)
    return place.reconstruct(path, place.scan())


def of_another_program(place: Place) -> list[object]:
    path = place.folder / "weights.safetensors"
    save_file({"weight": torch.zeros(3)}, path)
    return place.reconstruct(path, place.scan())


def of_another_model(place: Place) -> list[object]:
    path = place.weights()
    tensors, content = read_tensors(path)
    content["model"]["hidden"] = 9
    write_tensors(path, tensors, content)
    return place.reconstruct(path, place.scan())


def of_a_model_from_the_future(place: Place) -> list[object]:
    path = place.weights()
    tensors, content = read_tensors(path)
    content["model"]["name"] = "learned_primal_duel"
    write_tensors(path, tensors, content)
    return place.reconstruct(path, place.scan())


def with_nan_weights(place: Place) -> list[object]:
    path = place.weights()
    tensors, content = read_tensors(path)
    name = next(iter(tensors))
    tensors[name] = torch.full_like(tensors[name], torch.nan)
    write_tensors(path, tensors, content)
    return place.reconstruct(path, place.scan())


def dicom_without_slope(place: Place) -> list[object]:
    dataset = pydicom.dcmread(str(get_testdata_file("CT_small.dcm", download=False)))
    del dataset.RescaleSlope
    dataset.save_as(place.folder / "slice.dcm")
    words = [place.folder / "slice.dcm", "--simulate", "--geometry", place.geometry()]
    return place.reconstruct("fbp", *words)


def simulated(place: Place, image: Path) -> list[object]:
    return place.reconstruct("fbp", image, "--simulate", "--geometry", place.geometry())


def nonlinear(place: Place, method: str = "tv") -> list[object]:
    text = "name: transmission_ct\ngeometry:\n" + "".join(
        f"  {line}\n" for line in GEOMETRY.splitlines()[1:]
    )
    words = ["--weight", 1] if method == "tv" else []
    model = place.run if method == "run" else method
    return place.reconstruct(model, place.scan(), "--geometry", place.geometry(text), *words)


def transmissions(place: Place, values: ArrayLike) -> list[object]:
    text = "name: transmission_ct\ngeometry:\n" + "".join(
        f"  {line}\n" for line in GEOMETRY.splitlines()[1:]
    )
    words = ["--geometry", place.geometry(text)]
    return place.reconstruct("fbp", place.scan(values), *words)


def not_finite(place: Place) -> list[object]:
    def broken(*_: object) -> Estimate:
        return Estimate(torch.full((1, 1, 16, 16), torch.nan))

    place.patch.setattr("learnedrecon.models.classical.FBP.forward", broken)
    return place.fbp(place.scan())


def file_for_folder(place: Place) -> list[object]:
    place.file("taken", "")
    return place.fbp(place.scan(), to="taken/image.npy")


def exchange(place: Place, **changes: ArrayLike | None) -> list[object]:
    content = {
        "exchange__data": np.full((6, 1, 24), 500.0),
        "exchange__data_white": np.full((2, 1, 24), 1000.0),
        "exchange__data_dark": np.full((2, 1, 24), 10.0),
        "exchange__theta": np.arange(6.0),
        **changes,
    }
    kept = {key: values for key, values in content.items() if values is not None}
    return place.fbp(place.hdf5("scan.h5", **kept))


def two_datasets(place: Place) -> Path:
    return place.hdf5("two.h5", first=np.ones((6, 24)), second=np.ones((6, 24)))


ones = np.ones((6, 24), np.float32)
image = np.ones((8, 8), np.float32)

CASES: Cases = (
    # measurements
    (
        "data of another shape", lambda p: p.fbp(p.scan(np.ones((6, 23)))),
        (r"\(6, 24\)", r"\(6, 23\)", "--geometry"),
    ),
    (
        "data of another shape than the run's",
        lambda p: p.reconstruct(p.run, p.scan(np.ones((24, 6)))),
        (r"\(6, 24\)", r"\(24, 6\)", "transpose the data"),
    ),
    (
        "NaN in a measurement", lambda p: p.fbp(p.scan(np.where(ones > 0, np.nan, 0))),
        ("finite values", "144 of 144 that are NaN", "repair or remove"),
    ),
    (
        "texts for numbers", lambda p: p.fbp(p.scan(np.full((6, 24), "a"))),
        ("one array of numbers", "<U1", "array of numbers"),
    ),
    (
        "a complex measurement", lambda p: p.fbp(p.scan(1j * ones)),
        ("of real numbers", "complex64", "store the real part or the magnitude"),
    ),
    (
        "one axis", lambda p: p.fbp(p.scan(np.ones(24))),
        (r"of shape \(6, 24\)", r"\(24,\)", "correct the geometry"),
    ),
    (
        "a truncated npy", lambda p: p.fbp(truncated(p.scan())),
        ("one array of numbers", "breaks off", "copy or download"),
    ),
    (
        "a truncated HDF5", lambda p: p.fbp(truncated(two_datasets(p))),
        ("an HDF5 file", "breaks off", "copy or download"),
    ),
    (
        "a text with the ending of TIFF", lambda p: p.fbp(p.file("scan.tif", "no picture")),
        ("a TIFF file", "not a TIFF file", "copy or download"),
    ),
    (
        "an unknown ending", lambda p: p.fbp(p.file("scan.raw", "")),
        ("a file that ends in", "scan.raw", "rename or convert"),
    ),
    (
        "no such measurement", lambda p: p.fbp(p.folder / "nothing.npy"),
        ("nothing.npy", "no such file", "check the path"),
    ),
    (
        "several data sets", lambda p: p.fbp(two_datasets(p)),
        ("or a key", r"first \(6, 24\), second \(6, 24\)", "its key"),
    ),
    (
        "a missing data set", lambda p: [*p.fbp(two_datasets(p)), "--key", "third"],
        ("a data set 'third'", r"first \(6, 24\), second \(6, 24\)", "one of these keys"),
    ),
    (
        "Data Exchange without flats", lambda p: exchange(p, exchange__data_white=None),
        ("frames without the object", "none", "--flats FILE"),
    ),
    (
        "white frames darker than dark ones",
        lambda p: exchange(p, exchange__data_white=np.zeros((2, 1, 24))),
        ("brighter than the dark", "24 of 24 detector pixels", "not exchanged"),
    ),
    (
        "line integrals for transmissions", lambda p: transmissions(p, 3 * ones),
        ("transmissions between 0 and 1", "values from 3 to 3, which look like line", "store exp"),
    ),
    (
        "counts for transmissions", lambda p: transmissions(p, 3e4 * ones),
        ("transmissions between 0 and 1", "which look like raw counts", "divide counts"),
    ),
    (
        "a method that makes NaN", not_finite,
        ("a finite image from 'fbp'", "NaN or infinity in 256 of .* data from 1 to 1", "--scale"),
    ),
    # geometries
    (
        "no geometry", lambda p: p.reconstruct("fbp", p.scan()),
        ("the geometry of the scan", "no angles", "--write-geometry"),
    ),
    (
        "a misspelt geometry",
        lambda p: p.reconstruct(
            "fbp", p.scan(), "--geometry", p.geometry(GEOMETRY.replace("pitch", "pich"))
        ),
        ("'geometry.detector.pich'", "'pich'", "did you mean 'pitch'"),
    ),
    (
        "an unknown geometry",
        lambda p: p.reconstruct(
            "fbp", p.scan(), "--geometry", p.geometry(GEOMETRY.replace("parallel", "paralel"))
        ),
        ("'geometry.name'", "'paralel_beam'", "did you mean 'parallel_beam'"),
    ),
    (
        "a source inside the image",
        lambda p: p.reconstruct(
            "fbp", p.scan(), "--geometry",
            p.geometry(
                GEOMETRY.replace("parallel", "fan") + "source_origin: 5\norigin_detector: 50\n"
            ),
        ),
        ("a source outside the image", r"source_origin = 5.0", "measured from the rotation axis"),
    ),
    (
        "total variation of transmissions", nonlinear,
        ("a linear operator", "TransmissionCT", "take the logarithm"),
    ),
    (
        "transmissions for a model of line integrals", lambda p: nonlinear(p, "run"),
        ("as in the training, RayTransform", "TransmissionCT", "take the logarithm"),
    ),
    # methods
    (
        "no such model", lambda p: p.reconstruct("runs/nothing", p.scan()),
        ("such as 'fbp' or 'tv'", "does not exist", "correct the path"),
    ),
    (
        "truncated weights", lambda p: p.reconstruct(truncated(p.weights()), p.scan()),
        ("a whole safetensors file", "file not fully covered", "truncated or corrupt"),
    ),
    (
        "a pickle for weights", pickled,
        ("a safetensors file", "a pickle", "save_weights"),
    ),
    (
        "weights of another program", of_another_program,
        ("a checkpoint of this package", "another program", "save_weights"),
    ),
    (
        "weights of another model", of_another_model,
        ("the tensors of the model", r"where float32 \(9, 7, 3, 3\) is needed", "that wrote it"),
    ),
    (
        "weights of an unknown model", of_a_model_from_the_future,
        ("that are registered", "did you mean 'learned_primal_dual'", "version of learnedrecon"),
    ),
    (
        "NaN in weights", with_nan_weights,
        ("finite numbers", "NaN or infinity in", "an earlier checkpoint"),
    ),
    (
        "no weight of total variation",
        lambda p: p.reconstruct("tv", p.scan(), "--geometry", p.geometry()),
        ("data with noise in every sample", "show none", r"give a weight, begin with \d"),
    ),
    (
        "a negative weight of total variation",
        lambda p: p.reconstruct("tv", p.scan(), "--geometry", p.geometry(), "--weight", -1),
        ("(positive|> 0|above 0)", "-1", "correct 'weight'"),
    ),
    (
        "a weight for FBP", lambda p: [*p.fbp(p.scan()), "--weight", 1],
        ("a known key in place of 'fbp.weight'", "weight", "choose one of these"),
    ),
    (
        "a scale of zero", lambda p: p.reconstruct(p.run, p.scan(), "--scale", 0),
        ("--scale > 0", "--scale 0", "correct it"),
    ),
    # images
    (
        "a text with the ending of DICOM",
        lambda p: simulated(p, p.file("slice.dcm", "no slice" * 50)),
        ("a DICOM file", "no DICOM header", "check that it is DICOM"),
    ),
    (
        "DICOM without a slope", dicom_without_slope,
        ("a DICOM file", "no value for RescaleSlope", "export the slice again"),
    ),
    (
        "an image of another shape", lambda p: simulated(p, p.array("image.npy", image)),
        (r"shape \(16, 16\)", r"\(8, 8\)", "correct the geometry"),
    ),
    (
        "an unknown ending of the output", lambda p: p.fbp(p.scan(), to="image.jpg"),
        ("an output that ends in .npy", "image.jpg", "choose one of these endings"),
    ),
    (
        "a file in place of the folder", file_for_folder,
        ("a folder at", "a file", "another name"),
    ),
    (
        "nothing to write a geometry of",
        lambda p: [
            "check", "data", p.array("a.npy", np.ones(3)), "--write-geometry", p.folder / "g.yaml"
        ],
        (r"a measurement \(angle, detector\)", "none", "the file of a measurement"),
    ),
    (
        "nothing to check", lambda p: ["check", "data", p.folder / "nothing"],
        ("a file or a folder", "no such file", "check the path"),
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    ("words", "parts"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_a_mistake_is_named(
    place: Place, refused: Refused, words: Words, parts: tuple[str, str, str]
) -> None:
    refused(words(place), parts)


def test_cases_have_names_of_their_own() -> None:
    assert all(all(case[-1]) for case in CASES)
    assert len({case[0] for case in CASES}) == len(CASES) > 25
