"""What goes wrong in practice: every case ends with exit code 2 and one message of three parts."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pydicom
import pytest
import torch
from PIL import Image
from pydicom.data import get_testdata_file
from safetensors.torch import save_file

from learnedrecon.training.tensorfile import read_tensors, write_tensors

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from typer.testing import Result

    Run = Callable[..., Result]

GEOMETRY = """\
name: parallel_beam
shape: [16, 16]
angles: {number: 6}
detector: {pixels: 24, pitch: 1.0}
"""


@dataclass(frozen=True)
class Place:
    """Where a case plays.

    Attributes:
        folder: an empty folder.
        config: a good configuration.
        small: options that make it small.
        run: a trained run of it; a case that changes it works on a copy.
        patch: for what cannot be had otherwise, such as a full disk.
    """

    folder: Path
    config: Path
    small: list[str]
    run: Path
    patch: pytest.MonkeyPatch

    def file(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def array(self, name: str, values: ArrayLike) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, values)
        return path

    def hdf5(self, name: str, **datasets: ArrayLike) -> Path:
        path = self.folder / name
        with h5py.File(path, "w") as file:
            for key, values in datasets.items():
                file[key.replace("__", "/")] = values
        return path

    def geometry(self, text: str = GEOMETRY) -> Path:
        return self.file("geometry.yaml", text)

    def scan(self, values: ArrayLike | None = None) -> Path:
        return self.array("scan.npy", np.ones((6, 24), np.float32) if values is None else values)

    def weights(self) -> Path:
        target = self.folder / "weights.safetensors"
        shutil.copy(self.run / "checkpoints" / "best.safetensors", target)
        return target

    def train(self, *overrides: str) -> list[object]:
        words = [word for text in overrides for word in ("--set", text)]
        return ["train", self.config, "-o", self.folder / "run", *self.small, *words]

    def reconstruct(self, *words: object, to: str = "image.npy") -> list[object]:
        return ["reconstruct", *words, "-o", self.folder / to]

    def fbp(self, scan: Path, to: str = "image.npy") -> list[object]:
        return self.reconstruct("fbp", scan, "--geometry", self.geometry(), to=to)


@dataclass(frozen=True)
class Case:
    """One mistake: the words of the command line, and what each part of the message says."""

    name: str
    words: Callable[[Place], list[object]]
    expected: str
    found: str
    fix: str


def truncated(path: Path, share: float = 0.5) -> Path:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    return path


def full_disk(place: Place) -> list[object]:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    place.patch.setattr("learnedrecon.files.os.fsync", fail)
    return place.train()


def full_disk_for_metrics(place: Place) -> list[object]:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "metrics.jsonl")

    place.patch.setattr("learnedrecon.training.loggers.JsonLines.write", fail)
    return place.train()


def no_tensorboard(place: Place) -> list[object]:
    place.patch.setitem(sys.modules, "torch.utils.tensorboard", None)
    return [*place.train(), "--tensorboard"]


def empty_run(place: Place) -> list[object]:
    folder = place.folder / "run"
    shutil.copytree(place.run, folder)
    shutil.rmtree(folder / "checkpoints")
    return ["evaluate", folder]


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


def from_folder(place: Place, *arrays: tuple[str, ArrayLike]) -> list[object]:
    (place.folder / "mine").mkdir()
    for name, values in arrays:
        place.array(f"mine/{name}", values)
    return ["init", "--from", place.folder / "mine", "-o", place.folder / "new.yaml"]


def colours(place: Place) -> list[object]:
    words = from_folder(place)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(place.folder / "mine" / "a.png")
    return words


def two_operators(place: Place) -> list[object]:
    other = place.folder / "other"
    shutil.copytree(place.run, other)
    config = other / "config.yaml"
    config.write_text(config.read_text().replace("number: 6", "number: 7"))
    return ["compare", place.run, other, "-o", place.folder / "out"]


def nonlinear(place: Place, method: str = "tv") -> list[object]:
    text = "name: transmission_ct\ngeometry:\n" + "".join(
        f"  {line}\n" for line in GEOMETRY.splitlines()[1:]
    )
    words = ["--weight", 1] if method == "tv" else []
    model = place.run if method == "run" else method
    return place.reconstruct(model, place.scan(), "--geometry", place.geometry(text), *words)


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


def finished(place: Place) -> list[object]:
    shutil.copytree(place.run, place.folder / "run")
    return place.train()


ones = np.ones((6, 24), np.float32)
image = np.ones((8, 8), np.float32)

CASES = (
    # configurations
    Case(
        "unknown key", lambda p: p.train("training.stepps=3"),
        r"a known key in place of 'training.stepps'", "'stepps'", "did you mean 'steps'",
    ),
    Case(
        "unknown nested key", lambda p: p.train("operator.detector.pich=3"),
        r"'(operator.)?detector.pich'", "'pich'", "did you mean 'pitch'",
    ),
    Case(
        "unknown model", lambda p: p.train("model={name: learned_primal_duel}"),
        "'model.name'", "'learned_primal_duel'", "did you mean 'learned_primal_dual'",
    ),
    Case(
        "unknown ellipses", lambda p: p.train("data.train.preset=dvial"),
        "ellipse preset out of", "'dvial'", "choose one of these",
    ),
    Case(
        "a text for a number", lambda p: p.train("training.steps=many"),
        "a valid value of 'training.steps'", "'many'", "correct 'training.steps'",
    ),
    Case(
        "zero angles", lambda p: p.train("operator.angles.number=0"),
        "at least one angle", "number = 0", "at least 1",
    ),
    Case(
        "no angles", lambda p: p.train("operator.angles=[]"),
        "at least one angle", "0 angles", "a list of radians",
    ),
    Case(
        "a negative pitch", lambda p: p.train("operator.detector.pitch=-1"),
        "a pitch > 0 mm", r"pitch -1.0", "in mm",
    ),
    Case(
        "negative photons",
        lambda p: p.train("data.simulation.noise={name: poisson_counts, photons: -1}"),
        "photons to be finite and positive", r"photons = -1.0", "choose another photons",
    ),
    Case(
        "a negative learning rate", lambda p: p.train("training.optimiser.learning_rate=-1"),
        "learning_rate > 0", r"-1.0", "correct 'learning_rate'",
    ),
    Case(
        "half precision on a CPU", lambda p: p.train("training.precision=fp16"),
        "can train in precision 'fp16'", "CPU", "use precision 'no'",
    ),
    Case(
        "--set without a value", lambda p: p.train("training.steps"),
        "--set path.to.key=value", "'training.steps'", "--set training.steps=1000",
    ),
    Case(
        "--set through a number", lambda p: p.train("training.steps.more=1"),
        "to hold further keys", "steps", "check the path",
    ),
    Case(
        "truncated YAML",
        lambda p: ["train", p.file("c.yaml", "operator: {name: parallel_beam, shape: [1")],
        "readable YAML", "line 1", "repair the file",
    ),
    Case(
        "an empty configuration", lambda p: ["train", p.file("c.yaml", "")],
        "readable YAML", "an empty file", "learnedrecon init",
    ),
    Case(
        "a binary configuration", lambda p: ["train", p.file("c.yaml", b"\xff\xfe\x00")],
        "readable YAML", "decode", "learnedrecon init",
    ),
    Case(
        "a missing configuration", lambda p: ["train", p.folder / "nothing.yaml"],
        "readable YAML", "No such file", "learnedrecon init",
    ),
    Case(
        "a configuration without model",
        lambda p: ["train", p.file("c.yaml", f"operator: {{{GEOMETRY[:-1]}}}".replace("\n", ", "))],
        "a valid value of", "", "correct",
    ),
    # init
    Case(
        "an unknown preset", lambda p: ["init", "ellipses-ldp", "-o", p.folder / "c.yaml"],
        "a preset: one of", "'ellipses-ldp'", "did you mean 'ellipses-lpd'",
    ),
    Case(
        "an existing configuration", lambda p: ["init", "ellipses-lpd", "-o", p.file("c.yaml", "")],
        "no file at", "one", "--force",
    ),
    Case(
        "neither preset nor folder", lambda p: ["init", "-o", p.folder / "c.yaml"],
        "a preset or --from FOLDER", "neither", "--list",
    ),
    Case(
        "an empty folder", from_folder,
        "arrays", "no array", "check the path",
    ),
    Case(
        "an unmatched pair",
        lambda p: from_folder(
            p, ("measurement/a.npy", ones), ("truth/a.npy", image), ("truth/b.npy", image)
        ),
        "partners of the same name", "without a measurement: 'b'", "repair, add or remove",
    ),
    Case(
        "measurements alone", lambda p: from_folder(p, ("measurement/a.npy", ones)),
        "true images to learn from", "1 measurements alone", "folder 'truth'",
    ),
    Case(
        "NaN in a folder", lambda p: from_folder(p, ("truth/a.npy", image * np.nan)),
        "whole arrays", "64 of 64 that are NaN", "check data",
    ),
    Case(
        "colours", colours,
        "whole arrays", "mode RGB", "check data",
    ),
    Case(
        "measurements of two shapes",
        lambda p: from_folder(
            p, ("measurement/a.npy", ones), ("truth/a.npy", image),
            ("measurement/b.npy", ones[:5]), ("truth/b.npy", image),
        ),
        "of one shape", r"\(6, 24\), \(5, 24\)|\(5, 24\), \(6, 24\)", "geometry/<name>.yaml",
    ),
    # training
    Case(
        "nothing to train", lambda p: ["train", p.config, "--set", "model={name: fbp}"],
        "a method with weights", "one without", "learnedrecon evaluate",
    ),
    Case(
        "nothing to resume", lambda p: [*p.train(), "--resume"],
        "a run with a checkpoint", "none", "leave --resume away",
    ),
    Case(
        "a finished run", finished,
        "no finished run", "all its 2 steps", "another folder",
    ),
    Case(
        "images of another size", lambda p: p.train("data.train.size=20"),
        r"shape \(channel, 16, 16\)", r"\(1, 20, 20\)", "correct the geometry",
    ),
    Case(
        "a full disk", full_disk,
        "to be able to write", "No space left", "free space on the disk",
    ),
    Case(
        "a full disk for metrics", full_disk_for_metrics,
        "read and write metrics.jsonl", "No space left", "free space on the disk",
    ),
    Case(
        "no TensorBoard", no_tensorboard,
        "TensorBoard to be installed", "torch.utils.tensorboard", r"learnedrecon\[tensorboard\]",
    ),
    # evaluate and compare
    Case(
        "a run without weights", empty_run,
        "a checkpoint in", "none", "learnedrecon train",
    ),
    Case(
        "no such run", lambda p: ["evaluate", p.folder / "nothing"],
        "a run folder", "no such path", "learnedrecon train",
    ),
    Case(
        "a folder that is no run", lambda p: ["evaluate", p.folder],
        "config.yaml", "No such file", "learnedrecon init",
    ),
    Case(
        "an untrained model", lambda p: ["evaluate", p.config],
        "a run folder", "'filtered_primal_dual', which has some", "learnedrecon train",
    ),
    Case(
        "another model for a run", lambda p: ["evaluate", p.run, "--set", "model.hidden=9"],
        "'hidden': 8", "'hidden': 9", "override nothing in 'model'",
    ),
    Case(
        "an unknown data range", lambda p: ["evaluate", p.run, "--range", "1"],
        "range=1", "'1'|1", "use one of these",
    ),
    Case(
        "two operators", two_operators,
        "number=6", "number=7", "runs of one operator",
    ),
    Case(
        "no run to compare with", lambda _: ["compare", "fbp", "tv"],
        "one of them a run", "fbp tv", "learnedrecon compare runs/lpd fbp tv",
    ),
    # measurements
    Case(
        "data of another shape", lambda p: p.fbp(p.scan(np.ones((6, 23)))),
        r"\(6, 24\)", r"\(6, 23\)", "--geometry",
    ),
    Case(
        "data of another shape than the run's",
        lambda p: p.reconstruct(p.run, p.scan(np.ones((24, 6)))),
        r"\(6, 24\)", r"\(24, 6\)", "transpose the data",
    ),
    Case(
        "NaN in a measurement", lambda p: p.fbp(p.scan(np.where(ones > 0, np.nan, 0))),
        "finite values", "144 of 144 that are NaN", "repair or remove",
    ),
    Case(
        "texts for numbers", lambda p: p.fbp(p.scan(np.full((6, 24), "a"))),
        "one array of numbers", "<U1", "array of numbers",
    ),
    Case(
        "a complex measurement", lambda p: p.fbp(p.scan(1j * ones)),
        "real data", "complex", "store one sinogram",
    ),
    Case(
        "one axis", lambda p: p.fbp(p.scan(np.ones(24))),
        r"\(angle, detector\)", r"\(24,\)", "store one sinogram",
    ),
    Case(
        "a truncated npy", lambda p: p.fbp(truncated(p.scan())),
        "one array of numbers", "breaks off", "copy or download",
    ),
    Case(
        "a truncated HDF5", lambda p: p.fbp(truncated(two_datasets(p))),
        "an HDF5 file", "breaks off", "copy or download",
    ),
    Case(
        "a text with the ending of TIFF", lambda p: p.fbp(p.file("scan.tif", "no picture")),
        "one array of numbers", "not TIFF", "correct its ending",
    ),
    Case(
        "an unknown ending", lambda p: p.fbp(p.file("scan.raw", "")),
        "a file that ends in", "scan.raw", "rename or convert",
    ),
    Case(
        "no such measurement", lambda p: p.fbp(p.folder / "nothing.npy"),
        "nothing.npy", "no such file", "check the path",
    ),
    Case(
        "several data sets", lambda p: p.fbp(two_datasets(p)),
        "or a key", r"first \(6, 24\), second \(6, 24\)", "its key",
    ),
    Case(
        "a missing data set", lambda p: [*p.fbp(two_datasets(p)), "--key", "third"],
        "a data set 'third'", r"first \(6, 24\), second \(6, 24\)", "one of these keys",
    ),
    Case(
        "Data Exchange without angles", lambda p: exchange(p, exchange__theta=None),
        "exchange/theta", "exchange/data", "choose one of these keys",
    ),
    Case(
        "white frames darker than dark ones",
        lambda p: exchange(p, exchange__data_white=np.zeros((2, 1, 24))),
        "brighter than the dark", "24 of 24 detector pixels", "not exchanged",
    ),
    # geometries
    Case(
        "no geometry", lambda p: p.reconstruct("fbp", p.scan()),
        "the geometry of the scan", "no angles", "--write-geometry",
    ),
    Case(
        "a misspelt geometry",
        lambda p: p.reconstruct(
            "fbp", p.scan(), "--geometry", p.geometry(GEOMETRY.replace("pitch", "pich"))
        ),
        "'geometry.detector.pich'", "'pich'", "did you mean 'pitch'",
    ),
    Case(
        "an unknown geometry",
        lambda p: p.reconstruct(
            "fbp", p.scan(), "--geometry", p.geometry(GEOMETRY.replace("parallel", "paralel"))
        ),
        "'geometry.name'", "'paralel_beam'", "did you mean 'parallel_beam'",
    ),
    Case(
        "a source inside the image",
        lambda p: p.reconstruct(
            "fbp", p.scan(), "--geometry",
            p.geometry(
                GEOMETRY.replace("parallel", "fan") + "source_origin: 5\norigin_detector: 50\n"
            ),
        ),
        "a source outside the image", r"source_origin = 5.0", "measured from the rotation axis",
    ),
    Case(
        "total variation of transmissions", nonlinear,
        "a linear operator", "TransmissionCT", "take the logarithm",
    ),
    Case(
        "transmissions for a model of line integrals", lambda p: nonlinear(p, "run"),
        "as in the training, ParallelBeam", "Transmission", "take the logarithm",
    ),
    # methods
    Case(
        "no such model", lambda p: p.reconstruct("runs/nothing", p.scan()),
        "'fbp' or 'tv' as MODEL", "does not exist", "correct the path",
    ),
    Case(
        "truncated weights", lambda p: p.reconstruct(truncated(p.weights()), p.scan()),
        "a whole safetensors file", "", "truncated or corrupt",
    ),
    Case(
        "a pickle for weights", pickled,
        "a safetensors file", "a pickle", "save_weights",
    ),
    Case(
        "weights of another program", of_another_program,
        "a checkpoint of this package", "another program", "save_weights",
    ),
    Case(
        "weights of another model", of_another_model,
        "the tensors of the model", r"where float32 \(9, 7, 3, 3\) is needed", "that wrote it",
    ),
    Case(
        "weights of an unknown model", of_a_model_from_the_future,
        "that are registered", "did you mean 'learned_primal_dual'", "version of learnedrecon",
    ),
    Case(
        "NaN in weights", with_nan_weights,
        "finite numbers", "NaN or infinity in", "an earlier checkpoint",
    ),
    Case(
        "no weight of total variation",
        lambda p: p.reconstruct("tv", p.scan(), "--geometry", p.geometry()),
        "--weight for total variation", "none", r"begin with --weight \d",
    ),
    Case(
        "a negative weight of total variation",
        lambda p: p.reconstruct("tv", p.scan(), "--geometry", p.geometry(), "--weight", -1),
        "(positive|> 0|above 0)", "-1", "",
    ),
    Case(
        "a weight for FBP", lambda p: [*p.fbp(p.scan()), "--weight", 1],
        "--weight for 'tv' alone", "--weight with fbp", "leave it away",
    ),
    Case(
        "a scale of zero", lambda p: p.reconstruct(p.run, p.scan(), "--scale", 0),
        "--scale > 0", "--scale 0", "correct it",
    ),
    # images
    Case(
        "a text with the ending of DICOM",
        lambda p: simulated(p, p.file("slice.dcm", "no slice" * 50)),
        "a DICOM file", "no DICOM header", "check that this is",
    ),
    Case(
        "DICOM without a slope", dicom_without_slope,
        "a DICOM file", "no value for RescaleSlope", "export the slice again",
    ),
    Case(
        "an image of another shape", lambda p: simulated(p, p.array("image.npy", image)),
        r"shape \(16, 16\)", r"\(8, 8\)", "resample the image",
    ),
    Case(
        "an unknown ending of the output", lambda p: p.fbp(p.scan(), to="image.jpg"),
        "an output that ends in .npy", "image.jpg", "choose one of these endings",
    ),
    Case(
        "a file in place of the folder", file_for_folder,
        "to be able to write", "File exists|Not a directory", "another folder",
    ),
    Case(
        "nothing to write a geometry of",
        lambda p: [
            "check", "data", p.array("a.npy", np.ones(3)), "--write-geometry", p.folder / "g.yaml"
        ],
        r"a measurement \(angle, detector\)", "none", "the file of a measurement",
    ),
    Case(
        "nothing to check", lambda p: ["check", "data", p.folder / "nothing"],
        "a file or folder", "none", "correct the path",
    ),
)  # fmt: skip


@pytest.fixture
def place(
    tmp_path: Path,
    config: Path,
    small: list[str],
    trained: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Place:
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path, config, small, trained, monkeypatch)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_mistake_is_named(cli: Run, place: Place, case: Case) -> None:
    result = cli(*case.words(place))
    assert result.exit_code == 2, result.output
    text = " ".join(result.stderr.split())
    assert "Traceback" not in text
    pattern = rf"Error( in '[^']*')?: Expected .*({case.expected}).*Found .*({case.found}).*"
    assert re.search(pattern + rf"What to do: .*({case.fix})", text), text


def test_there_are_enough_cases() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 25


def test_a_failed_training_leaves_the_old_checkpoint(cli: Run, place: Place) -> None:
    assert cli(*place.train()).exit_code == 0
    last = place.folder / "run" / "checkpoints" / "last.safetensors"
    before = last.read_bytes()
    assert cli(*full_disk(place), "--fresh").exit_code == 2
    assert not last.exists() or last.read_bytes() == before


def test_a_failed_write_leaves_nothing_behind(cli: Run, place: Place) -> None:
    scan = place.fbp(place.scan())
    full_disk(place)
    assert cli(*scan).exit_code == 2
    assert {path.name for path in place.folder.iterdir()} == {"scan.npy", "geometry.yaml"}


def test_a_broken_folder_is_described_and_fails(cli: Run, place: Place) -> None:
    from_folder(place, ("truth/a.npy", image), ("truth/b.npy", image * np.inf))
    result = cli("check", "data", place.folder / "mine")
    assert result.exit_code == 1
    assert "2 true images" in result.stdout
    assert "PROBLEM: " in result.stdout
    assert "b.npy" in result.stdout


def test_results_hold_no_number_that_json_has_not(place: Place, cli: Run) -> None:
    target = place.folder / "results.json"
    assert cli("evaluate", place.run, "--images", 1, "-o", target).exit_code == 0
    (scores,) = json.loads(target.read_text())["methods"].values()
    assert scores["psnr_std"] is None
