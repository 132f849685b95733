"""`train`: one process in a folder, other weights to begin with, devices, what an end says."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch

from learnedrecon.training.accelerator import choose_device, make_accelerator
from learnedrecon.training.lock import FolderLock
from learnedrecon.weights.checkpoint import load_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from accelerate import Accelerator
    from tests.cli.conftest import Place
    from typer.testing import Result

    from learnedrecon.training.accelerator import Precision

    Run = Callable[..., Result]
    Refused = Callable[[list[object], tuple[str, str, str]], None]

HOLD = """
import sys
from learnedrecon.training.lock import FolderLock
with FolderLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_folder_that_another_process_trains_in_is_refused(place: Place, refused: Refused) -> None:
    words = [sys.executable, "-c", HOLD, str(place.folder / "run")]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        holder = f"process {process.pid} on .*"
        refused(place.train(), ("no other process in the run folder", holder, "wait for it"))
        refused(
            [*place.train(), "--fresh"],
            ("no other process in the run folder", holder, "wait for it"),
        )
        assert not (place.folder / "run" / "config.yaml").exists()
        process.communicate()


def test_a_training_gives_the_folder_back(cli: Run, place: Place) -> None:
    assert cli(*place.train()).exit_code == 0
    with FolderLock(place.folder / "run") as lock:
        assert lock.held


@pytest.mark.parametrize("which", ["folder", "file"])
def test_training_begins_with_other_weights(cli: Run, place: Place, which: str) -> None:
    """At a learning rate of next to nothing, the weights stay what they were."""
    source = place.run if which == "folder" else place.weights()
    words = place.train("training.optimiser.learning_rate=1e-12", "training.steps=1")
    result = cli(*words, "--weights", source)
    assert result.exit_code == 0, result.output
    assert "Beginning with the weights of" in result.stderr
    before, after = (load_weights(run).model.state_dict() for run in (place.run, "run"))
    assert all(torch.allclose(after[name], value, atol=1e-9) for name, value in before.items())


def test_weights_of_another_model_are_refused(place: Place, refused: Refused) -> None:
    refused(
        [*place.train("model.hidden=9"), "--weights", place.run],
        ("weights of the model of the configuration", "model.hidden 8 for 9", "the same 'model'"),
    )


def test_a_second_interruption_says_what_is_on_the_disk(cli: Run, place: Place) -> None:
    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    place.patch.setattr("learnedrecon.experiments.training.train_loop", interrupted)
    result = cli(*place.train())
    assert result.exit_code == 130
    assert "no checkpoint yet: the same command starts again" in " ".join(result.stderr.split())


@pytest.mark.parametrize("command", ["train", "evaluate", "compare", "reconstruct"])
def test_a_device_that_is_not_there_is_named(place: Place, refused: Refused, command: str) -> None:
    words = {
        "train": place.train(),
        "evaluate": ["evaluate", place.run],
        "compare": ["compare", place.run, "fbp"],
        "reconstruct": place.reconstruct(place.run, place.scan()),
    }[command]
    refused(
        [*words, "--device", "cuda:99"], ("a device of this machine", "'cuda:99'", "choose one")
    )


def test_everything_runs_on_the_cpu_that_is_asked_for(cli: Run, place: Place) -> None:
    run = place.folder / "run"
    for words in (
        place.train(),
        ["evaluate", run, "--images", 1],
        ["compare", run, "fbp", "--images", 2, "-o", place.folder / "c"],
        place.reconstruct(run, place.scan()),
    ):
        result = cli(*words, "--device", "cpu")
        assert result.exit_code == 0, result.output
    assert json.loads((run / "results.json").read_text())["test_images"] == 1


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_training_leaves_alone_what_choose_device_does_not_choose(
    cli: Run, place: Place, device: str
) -> None:
    """Accelerate would take an MPS device wherever it is not told to use the CPU."""
    asked: list[bool] = []

    def noting(precision: Precision, *, cpu: bool) -> Accelerator:
        asked.append(cpu)
        return make_accelerator(precision, cpu=True)

    place.patch.setattr(torch.cuda, "is_available", lambda: False)
    place.patch.setattr("learnedrecon.experiments.training.make_accelerator", noting)
    result = cli(*place.train(), "--device", device)
    assert result.exit_code == 0, result.output
    assert asked == [True]


def test_a_gpu_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    current: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    assert choose_device() == choose_device("cuda") == torch.device("cuda")
    assert choose_device("cuda:1") == torch.device("cuda:1")
    assert choose_device("cpu") == torch.device("cpu")
    assert current == [1]


def test_the_scores_of_a_configuration_lie_beside_it(cli: Run, place: Place) -> None:
    text = place.config.read_text()
    config = place.file("mine.yaml", text)
    options = [word for word in place.small if not word.startswith("model.")]
    pairs = [w for o in options if o != "--set" for w in ("--set", o)]
    result = cli("evaluate", config, *pairs, "--set", "model={name: fbp}", "--images", 1)
    assert result.exit_code == 0, result.output
    assert (place.folder / "mine-results.json").exists()
    assert (place.folder / "mine-results.png").exists()
    assert "mine-results.json" in result.stderr
