"""The shell scripts of the fault hunt on today's command line.

That of two processes is ``tests/training/test_two_processes.py``.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
from tests.faults.conftest import said
from tests.training.test_disk import small_disk

import learnedrecon as lr
from learnedrecon.weights.tensorfile import read_tensors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest
    from tests.faults.conftest import Say
    from typer.testing import Result

    Run = Callable[..., Result]
    Configure = Callable[..., Path]

__all__ = ["small_disk"]

PAD = "{name: pad, shape: [16, 16], margins: [[1, 1], [1, 1]]}"


def test_f02b_a_run_reads_its_own_configuration(
    cli: Run, configured: Configure, found: Say
) -> None:
    configured("{name: blur, shape: [16, 16], kernel: {sigma: 0.5}}")
    commands = (
        ["train", "c.yaml", "-o", "r"],
        ["evaluate", "r"],
        ["compare", "r", "tv", "-o", "both"],
        ["check", "operator", "r"],
        ["check", "model", "r"],
    )
    codes = [cli(*words).exit_code for words in commands]
    found(f"exit codes of train, evaluate, compare, check operator, check model: {codes}")
    assert codes == [0] * 5


def test_f09_any_operator_reconstructs(cli: Run, configured: Configure, found: Say) -> None:
    config = configured("{name: inpaint, shape: [16, 16], kept: 0.4}")
    assert cli("train", "c.yaml", "-o", "r").exit_code == 0
    random = np.random.default_rng(0)
    np.save("y.npy", random.random((16, 16)).astype("f4"))
    learned = cli("reconstruct", "r", "y.npy", "-o", "u.npy")
    (config.parent / "g.yaml").write_text("name: inpaint\nshape: [16, 16]\n")
    words = ["reconstruct", "tv", "y.npy", "--geometry", "g.yaml", "--weight", "0.1"]
    classical = cli(*words, "-o", "v.npy")
    shapes = [np.load(name).shape for name in ("u.npy", "v.npy")]
    found(f"exit codes {learned.exit_code} and {classical.exit_code}, images {shapes}")
    assert learned.exit_code == classical.exit_code == 0, said(learned) + said(classical)
    assert shapes == [(16, 16)] * 2


def test_f11_a_full_disk_is_one_message(
    cli: Run, small_disk: Path, monkeypatch: pytest.MonkeyPatch, configured: Configure, found: Say
) -> None:
    text = configured(PAD).read_text().replace("steps: 2", "steps: 60, checkpoint: {every: 1}")
    monkeypatch.chdir(small_disk)
    (small_disk / "c.yaml").write_text(text)
    assert cli("train", "c.yaml", "-o", "r", "--set", "training.steps=1").exit_code == 0
    room = os.statvfs(small_disk)
    (small_disk / "other").write_bytes(bytes((room.f_bavail - 2) * room.f_frsize))
    result = cli("train", "c.yaml", "-o", "q")
    found(f"exit code {result.exit_code}: {said(result)[-95:]}")
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert "free space on the disk" in said(result)
    for path in small_disk.rglob("*.safetensors"):
        read_tensors(path)


def test_f13_one_black_slice_ends_no_evaluation(
    cli: Run, configured: Configure, found: Say
) -> None:
    config = configured(PAD)
    (config.parent / "t").mkdir()
    for k in range(12):
        image = np.random.default_rng(k).random((16, 16)) * (k not in (0, 11))
        np.save(config.parent / "t" / f"s{k:02d}.npy", image.astype("f4"))
    test = "{name: pairs, path: t, split: test, fractions: [0.0, 0.0, 1.0]}"
    text = config.read_text().replace("test: {name: ellipses, size: 16}", f"test: {test}")
    method = "{name: tv, weight: 0.01, max_iterations: 25}"
    text = text.replace("{name: unrolled_gradient, iterations: 2, hidden: 4}", method)
    config.write_text(text.replace("images: 2, v", "images: 12, v"))
    plain, ranged = cli("evaluate", "c.yaml"), cli("evaluate", "c.yaml", "--range", "range=1")
    left = said(plain)
    found(f"exit codes {plain.exit_code} and {ranged.exit_code}; {left[: left.find('PSNR')]}")
    assert plain.exit_code == ranged.exit_code == 0
    assert "2 of 12 test images" in left
    assert "s00" in left
    assert "s11" in left


def test_f15_k_space_is_reconstructed(cli: Run, folder: Path, found: Say) -> None:
    random = np.random.default_rng(0)
    kspace = (random.random((16, 12)) + 1j * random.random((16, 12))).astype("c8")
    np.save("k.npy", kspace)
    (folder / "g.yaml").write_text("name: cartesian_mri\nshape: [16, 12]\n")
    assert cli("check", "operator", "g.yaml").exit_code == 0
    looked = cli("check", "data", "k.npy", "--geometry", "g.yaml")
    result = cli("reconstruct", "fbp", "k.npy", "--geometry", "g.yaml", "-o", "u.npy")
    assert result.exit_code == looked.exit_code == 0, said(looked) + said(result)
    shifted = np.fft.ifftshift(kspace, axes=(-2, -1))
    right = np.fft.fftshift(np.fft.ifft2(shifted, norm="ortho"), axes=(-2, -1))
    error = float(np.abs(np.load("u.npy") - right).max() / np.abs(right).max())
    found(f"exit code {result.exit_code}; against numpy's inverse FFT {error:.1g}")
    assert error < 1e-6


def test_f16_a_message_advises_what_helps(cli: Run, configured: Configure, found: Say) -> None:
    """Post-processing starts from T*y without FBP; what a training proposes is done."""
    configured(PAD)
    trained = cli("train", "c.yaml", "-o", "a", "--set", "model={name: post_processing}")
    refused = cli("train", "c.yaml", "-o", "b", "--set", "model.start=fbp")
    (proposed,) = (
        line.split("learnedrecon ")[1].split()
        for line in trained.output.splitlines()
        if "learnedrecon compare" in line
    )
    compared = cli(*proposed)
    codes = trained.exit_code, refused.exit_code, compared.exit_code
    advice = said(refused).split("What to do: ")[-1]
    found(f"post_processing {codes[0]}; start=fbp {codes[1]}: '{advice}'; "
          f"'{' '.join(proposed)}' {codes[2]}")  # fmt: skip
    assert codes == (0, 2, 0), said(compared)
    assert "fbp: null" not in advice


def test_f26_a_start_that_failed_blocks_no_folder(
    cli: Run, configured: Configure, found: Say
) -> None:
    config = configured("{name: cartesian_mri, shape: [16, 16], coils: 2}")
    failed = cli("train", "c.yaml", "-o", "r")
    configured(PAD)
    again = cli("train", "c.yaml", "-o", "r")
    found(f"exit codes {failed.exit_code}, then {again.exit_code}")
    assert (failed.exit_code, again.exit_code) == (2, 0), said(failed) + said(again)
    assert lr.load_weights(config.parent / "r" / "checkpoints" / "best.safetensors")
