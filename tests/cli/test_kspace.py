"""A folder of fastMRI's files goes through all commands: three shapes, one broken, one bare."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.kspace_files import SMALL, Scan, write_scan

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run

WIDE = Scan(kspace=(64, 40), coils=3, slices=2, padding=2, noise=0.01)
LARGE = Scan(matrix=(40, 40), kspace=(80, 44), slices=2, header=False, noise=0.01)
TINY = ("training.steps=2", "model.iterations=1", "model.hidden=4", "training.validate_every=2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scans")
    for number in range(4):
        write_scan(path / f"file1{number}.h5", SMALL.but(slices=2, noise=0.01), number)
        write_scan(path / f"file2{number}.h5", WIDE, number)
    write_scan(path / "file30.h5", LARGE)
    whole = (path / "file10.h5").read_bytes()
    (path / "file40.h5").write_bytes(whole[: len(whole) // 2])
    (path / "notes.txt").write_text("of the scanner")
    return path


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEARNEDRECON_CACHE", str(tmp_path / "cache"))


def test_the_whole_path(cli: Run, folder: Path, tmp_path: Path) -> None:
    seen = cli("check", "data", folder)
    assert seen.exit_code == 1, "a broken file is a problem"
    for text in ("9 files", "3 coils, 64 x 40", "PROBLEM: file40.h5", "file30.h5", "init --from"):
        assert text in seen.output
    config, run = tmp_path / "config.yaml", tmp_path / "run"
    assert cli("init", "--from", folder, "-o", config).exit_code == 0
    words = [word for text in TINY for word in ("--set", text)]
    trained = cli("train", config, "-o", run, *words)
    assert trained.exit_code == 0, trained.output
    scored = cli("evaluate", run)
    assert scored.exit_code == 0, scored.output
    assert "test slices" in scored.output
    assert "volume PSNR" in scored.output
    results = json.loads((run / "results.json").read_text())["methods"]["run"]
    assert results["of"] == "slice"
    volumes = results["volume"]
    assert volumes["volumes"] == volumes["compared_with_reference_images"]
    assert results["images"] == 2 * volumes["volumes"]
    assert not {"file40"} & set(volumes["per_volume"])


def test_broken_files_stop_a_training_that_refuses_them(
    cli: Run, folder: Path, tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    assert cli("init", "--from", folder, "-o", config).exit_code == 0
    text = config.read_text()
    assert "broken: skip" in text
    config.write_text(text.replace("broken: skip", "broken: refuse"))
    result = cli("train", config, "-o", tmp_path / "run")
    assert result.exit_code != 0
    assert "file40.h5" in result.output
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_one_file_is_described(cli: Run, folder: Path) -> None:
    result = cli("check", "data", folder / "file20.h5")
    assert result.exit_code == 0
    for words in ("2 slices, 3 coils, 64 x 40", "32 x 32 pixels of 4.375 x 4.375 mm", "AXT2",
                  "columns 2 to 37", "σ = ", "Missing: nothing"):  # fmt: skip
        assert words in result.output
    assert "the field of view" in cli("check", "data", folder / "file30.h5").output
    broken = cli("check", "data", folder / "file40.h5")
    assert broken.exit_code != 0
    assert "breaks off" in broken.output
