"""What goes wrong in configurations, folders and runs: exit code 2 and a message of three parts."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

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


def full_disk(place: Place) -> list[object]:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    place.patch.setattr("learnedrecon.files.os.fsync", fail)
    return place.train()


def read_only_folder(place: Place) -> list[object]:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    place.patch.setattr("learnedrecon.files.tempfile.mkstemp", refuse)
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


def finished(place: Place) -> list[object]:
    shutil.copytree(place.run, place.folder / "run")
    return place.train()


ones = np.ones((6, 24), np.float32)
image = np.ones((8, 8), np.float32)

CASES: Cases = (
    # configurations
    (
        "unknown key", lambda p: p.train("training.stepps=3"),
        (r"a known key in place of 'training.stepps'", "'stepps'", "did you mean 'steps'"),
    ),
    (
        "unknown nested key", lambda p: p.train("operator.detector.pich=3"),
        (r"'(operator.)?detector.pich'", "'pich'", "did you mean 'pitch'"),
    ),
    (
        "unknown model", lambda p: p.train("model={name: learned_primal_duel}"),
        ("'model.name'", "'learned_primal_duel'", "did you mean 'learned_primal_dual'"),
    ),
    (
        "unknown ellipses", lambda p: p.train("data.train.preset=dvial"),
        ("ellipse preset out of", "'dvial'", "choose one of these"),
    ),
    (
        "a text for a number", lambda p: p.train("training.steps=many"),
        ("a valid value of 'training.steps'", "'many'", "correct 'training.steps'"),
    ),
    (
        "zero angles", lambda p: p.train("operator.angles.number=0"),
        ("at least one angle", "number = 0", "at least 1"),
    ),
    (
        "no angles", lambda p: p.train("operator.angles=[]"),
        ("at least one angle", "0 angles", "a list of radians"),
    ),
    (
        "a negative pitch", lambda p: p.train("operator.detector.pitch=-1"),
        ("a pitch > 0 mm", r"pitch -1.0", "in mm"),
    ),
    (
        "negative photons",
        lambda p: p.train("data.simulation.noise={name: poisson_counts, photons: -1}"),
        ("photons to be finite and positive", r"photons = -1.0", "choose another photons"),
    ),
    (
        "a negative learning rate", lambda p: p.train("training.optimiser.learning_rate=-1"),
        ("learning_rate > 0", r"-1.0", "correct 'learning_rate'"),
    ),
    (
        "half precision on a CPU", lambda p: p.train("training.precision=fp16"),
        ("can train with precision 'fp16'", "CPU", "use precision 'no'"),
    ),
    (
        "a split that is none", lambda p: p.train("data.train.split=practice"),
        ("a valid value of 'data.train.split'", "'practice'", "correct 'data.train.split'"),
    ),
    (
        "a text for a pixel size", lambda p: p.train("operator.pixel_size=small"),
        ("a valid value of 'operator.pixel_size'", "'small'", "correct 'operator.pixel_size'"),
    ),
    (
        "data that are not there",
        lambda p: p.train("data.train={name: pairs, path: nothing}"),
        ("at 'data.train.path', .*/nothing", "no such path", "from the folder of that file"),
    ),
    (
        "--set without a value", lambda p: p.train("training.steps"),
        ("--set path.to.key=value", "'training.steps'", "--set training.steps=1000"),
    ),
    (
        "--set through a number", lambda p: p.train("training.steps.more=1"),
        ("to hold further keys", "steps", "check the path"),
    ),
    (
        "truncated YAML",
        lambda p: ["train", p.file("c.yaml", "operator: {name: parallel_beam, shape: [1")],
        ("readable YAML", "line 1", "repair the file"),
    ),
    (
        "an empty configuration", lambda p: ["train", p.file("c.yaml", "")],
        ("readable YAML", "an empty file", "learnedrecon init"),
    ),
    (
        "a binary configuration", lambda p: ["train", p.file("c.yaml", b"\xff\xfe\x00")],
        ("readable YAML", "decode", "repair the file"),
    ),
    (
        "a missing configuration", lambda p: ["train", p.folder / "nothing.yaml"],
        ("a readable YAML file", "no such file", "check the path"),
    ),
    (
        "a configuration without model",
        lambda p: ["train", p.file("c.yaml", f"operator: {{{GEOMETRY[:-1]}}}".replace("\n", ", "))],
        ("a value of 'model'", "none", "add 'model'"),
    ),
    # init
    (
        "an unknown preset", lambda p: ["init", "ellipses-ldp", "-o", p.folder / "c.yaml"],
        ("a preset: one of", "'ellipses-ldp'", "did you mean 'ellipses-lpd'"),
    ),
    (
        "an unknown preset for an existing file",
        lambda p: ["init", "ellipses-ldp", "-o", p.file("c.yaml", "")],
        ("a preset: one of", "'ellipses-ldp'", "did you mean 'ellipses-lpd'"),
    ),
    (
        "a single image", lambda p: from_folder(p, ("a.npy", image)),
        ("at least two samples", "1", "add images"),
    ),
    (
        "an existing configuration", lambda p: ["init", "ellipses-lpd", "-o", p.file("c.yaml", "")],
        ("no file at", "one", "--force"),
    ),
    (
        "neither preset nor folder", lambda p: ["init", "-o", p.folder / "c.yaml"],
        ("a preset or --from FOLDER", "neither", "--list"),
    ),
    (
        "an empty folder", from_folder,
        ("arrays", "no array", "check the path"),
    ),
    (
        "an unmatched pair",
        lambda p: from_folder(
            p, ("measurement/a.npy", ones), ("truth/a.npy", image), ("truth/b.npy", image)
        ),
        ("partners of the same name", "without a measurement: 'b'", "repair, add or remove"),
    ),
    (
        "measurements only", lambda p: from_folder(p, ("measurement/a.npy", ones)),
        ("true images to learn from", "1 measurements only", "folder 'truth'"),
    ),
    (
        "NaN in a folder", lambda p: from_folder(p, ("truth/a.npy", image * np.nan)),
        ("whole arrays", "64 of 64 that are NaN", "check data"),
    ),
    (
        "colours", colours,
        ("whole arrays", "mode RGB", "check data"),
    ),
    (
        "measurements of two shapes",
        lambda p: from_folder(
            p, ("measurement/a.npy", ones), ("truth/a.npy", image),
            ("measurement/b.npy", ones[:5]), ("truth/b.npy", image),
        ),
        ("of one shape", r"\(6, 24\), \(5, 24\)|\(5, 24\), \(6, 24\)", "geometry/<name>.yaml"),
    ),
    # training
    (
        "nothing to train", lambda p: ["train", p.config, "--set", "model={name: fbp}"],
        ("a method with weights", "a method without weights in", "learnedrecon evaluate"),
    ),
    (
        "nothing to resume", lambda p: [*p.train(), "--resume"],
        ("a run with a checkpoint", "none", "omit --resume"),
    ),
    (
        "a finished run", finished,
        ("no finished run", "all its 2 steps", "training.steps=N, N > 2.*--fresh.*-o"),
    ),
    (
        "images of another size", lambda p: p.train("data.train.size=20"),
        (r"shape \(channel, 16, 16\)", r"\(1, 20, 20\)", "correct the geometry"),
    ),
    (
        "a full disk", full_disk,
        ("to be able to write", "No space left", "free space on the disk"),
    ),
    (
        "a folder that is read only", read_only_folder,
        ("to be able to write", "Permission denied", "change its permissions"),
    ),
    (
        "a full disk for metrics", full_disk_for_metrics,
        ("read and write metrics.jsonl", "No space left", "free space on the disk"),
    ),
    (
        "no TensorBoard", no_tensorboard,
        ("TensorBoard to be installed", "torch.utils.tensorboard", r"learnedrecon\[tensorboard\]"),
    ),
    # evaluate and compare
    (
        "a run without weights", empty_run,
        ("a checkpoint in", "none", "learnedrecon train"),
    ),
    (
        "no such run", lambda p: ["evaluate", p.folder / "nothing"],
        ("a run folder", "no such path", "learnedrecon train"),
    ),
    (
        "a folder that is no run", lambda p: ["evaluate", p.folder],
        ("config.yaml", "no such file", "check the path"),
    ),
    (
        "an untrained model", lambda p: ["evaluate", p.config],
        ("a run folder", "'filtered_primal_dual', which has some", "learnedrecon train"),
    ),
    (
        "another model for a run", lambda p: ["evaluate", p.run, "--set", "model.hidden=9"],
        ("'hidden': 8", "'hidden': 9", "override nothing in 'model'"),
    ),
    (
        "an unknown data range", lambda p: ["evaluate", p.run, "--range", "1"],
        ("range=1", "'1'|1", "use one of these"),
    ),
    (
        "two operators", two_operators,
        ("one operator in", "operator.angles.number 6 and 7", "runs of one operator"),
    ),
    (
        "no run to compare with", lambda _: ["compare", "fbp", "tv"],
        ("one of them a run", "fbp tv", "learnedrecon compare runs/lpd fbp tv"),
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


def test_a_failed_training_leaves_the_old_checkpoint(cli: Run, place: Place) -> None:
    assert cli(*place.train()).exit_code == 0
    last = place.folder / "run" / "checkpoints" / "last.safetensors"
    before = last.read_bytes()
    assert cli(*full_disk(place), "--fresh").exit_code == 2
    assert last.read_bytes() == before


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


def test_a_measurement_that_float32_cannot_hold_is_a_problem(cli: Run, place: Place) -> None:
    """As 'reconstruct' refuses it, 'check data' does not call it all finite and no more."""
    values = ones.astype(np.float64)
    values[0, 0] = 1e39
    result = cli("check", "data", place.array("large.npy", values))
    assert result.exit_code == 1
    assert "PROBLEM: Expected finite values" in " ".join(result.stdout.split())


@pytest.mark.parametrize("text", ["model: {name: fbp}\n", "operater: {name: blur}\n", "[1]\n"])
def test_what_is_neither_geometry_nor_configuration_is_named(
    place: Place, refused: Refused, text: str
) -> None:
    expected = "c.yaml to be a geometry with a 'name', or a configuration with an 'operator'"
    refused(["check", "operator", place.file("c.yaml", text)], (expected, ".", "add the one"))
