"""The numbers in the pages are those of the recorded runs."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from benchmarks import report
from benchmarks.harness.machine import command_of

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "studies" / "results"
EVERY = sorted([*RESULTS.glob("*.json"), *(ROOT / "benchmarks" / "results").glob("*.json")])
ELLIPSES = sorted(RESULTS.glob("ellipses-*.json"))
DEMOS = sorted(RESULTS.glob("demo-*.json"))


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def test_there_are_recorded_runs() -> None:
    assert len(ELLIPSES) >= 7
    assert len(DEMOS) >= 1


@pytest.mark.parametrize("path", ELLIPSES, ids=lambda path: path.stem)
def test_the_page_of_the_ellipses_has_the_recorded_numbers(path: Path) -> None:
    result = _read(path)
    page = (ROOT / "docs" / "ellipses.md").read_text(encoding="utf-8")
    row = f"| {result['psnr']:.2f} ± {result['psnr_stderr']:.2f} | {result['ssim']:.3f} |"
    assert row in page
    if "steps" in result:
        assert f"{result['steps']} steps" in page


@pytest.mark.parametrize("path", DEMOS, ids=lambda path: path.stem)
def test_the_readme_has_the_recorded_demos(path: Path) -> None:
    result = _read(path)
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    low, high = result["lpd_minus_tv"]["ci95"]
    methods = result["methods"]
    numbers = " | ".join(f"{methods[name]['psnr']:.2f}" for name in ("fbp", "tv", "lpd"))
    lead = f"{result['lpd_minus_tv']['mean']:+.2f} ({low:+.2f} to {high:+.2f})"
    real = " / ".join(f"{result['real'][name]['psnr']:.2f}" for name in ("fbp", "tv", "lpd"))
    assert f"| {result['training']['steps']} | {numbers} | {lead} | {real} |" in page


def test_the_readme_has_the_recorded_weights_for_the_noise() -> None:
    result = _read(RESULTS / "noise.json")
    page = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    _, by_variance, by_discrepancy = result["rows"]
    assert (
        f"the noise on the slice is {result['noise_over_that_of_phantoms']:.2f} times theirs"
        in page
    )
    assert f"{by_variance['psnr']:.2f} dB (SSIM {by_variance['ssim']:.3f}) with α ∝ σ²" in page
    assert f"{by_discrepancy['psnr']:.2f} dB by the discrepancy principle" in page


def test_the_page_of_the_operators_counts_the_recorded_rows() -> None:
    result = _read(RESULTS / "operator-table.json")
    page = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
    assert len(result["rows"]) == result["size"]["rows"]
    assert f"{result['size']['checked']} properties" in page


def test_the_page_of_the_brain_has_the_recorded_numbers() -> None:
    result = _read(RESULTS / "brain.json")
    page = (ROOT / "docs" / "brain.md").read_text(encoding="utf-8")
    for method in result["methods"].values():
        assert f"| {method['held_out_residual']:.3f} |" in page


@pytest.mark.parametrize("page", report.PAGES, ids=lambda page: page.name)
def test_a_page_is_what_the_report_writes(page: Path) -> None:
    assert report.written(page) == page.read_text(encoding="utf-8")


def test_every_study_is_a_claim_with_its_results() -> None:
    """One study per file, with what it shows in two or three sentences, and what it recorded."""
    named = {study.name for study in report.STUDIES}
    files = {path.stem for path in (ROOT / "studies").glob("*.py")}
    assert files == named
    for study in report.STUDIES:
        assert study.claim.endswith(".")
        assert 2 <= len(re.findall(r"[.] |[.]$", study.shows)) <= 3
        recorded = list(RESULTS.glob(study.recorded)) if study.recorded else []
        assert [*recorded, *study.parts]
        assert [name for name in study.parts if not (RESULTS / f"{name}.json").exists()] == []
        if study.figure:
            assert (ROOT / "docs" / "figures" / study.figure[0]).exists()


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_every_result_says_how_it_was_made(path: Path) -> None:
    """By a program that is here: a command, a module or a script."""
    result = _read(path)
    program, *rest = shlex.split(result["command"])
    scripts = [ROOT / rest[0]]
    if rest[0] == "-m":
        module = rest[1].replace(".", "/")
        scripts = [ROOT / f"{module}.py", ROOT / module / "__main__.py"]
    script = any(each.is_file() for each in scripts)
    assert program == "learnedrecon" or (program == "python" and script)
    assert result.get("seconds_in_all", result.get("seconds", 0)) > 0
    assert "environment" in result or "machine" in result


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_a_recorded_command_names_no_folder_of_a_machine(path: Path) -> None:
    assert not re.search(r"[ =]/", str(_read(path).get("command", "")))


def test_the_command_of_a_run_has_the_last_part_of_a_path() -> None:
    assert command_of("m", ["--runs", "/a/b", "--only", "c/d"]) == "python -m m --runs b --only c/d"
