"""The numbers in the pages are those of the recorded runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
ELLIPSES = sorted(RESULTS.glob("ellipses-*.json"))
DEMOS = sorted(RESULTS.glob("demo-*.json"))


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def test_there_are_recorded_runs() -> None:
    assert len(ELLIPSES) >= 7
    assert len(DEMOS) >= 2


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


def test_the_page_of_the_operators_has_the_recorded_numbers() -> None:
    result = _read(RESULTS / "operator-table.json")
    page = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
    assert len(result["rows"]) == result["size"]["rows"]
    lines = {line for line in page.splitlines() if line.startswith("| ")}
    for row in result["rows"]:
        values = [x for kind in ("double", "single") for x in row[kind].values()]
        numbers = [f"{x:.0e}" for x in values if isinstance(x, float) and x > 0]
        own = [x for x in lines if x.startswith(f"| {row['case']} | {row['operator']}, ")]
        assert any(all(number in line for number in numbers) for line in own), row["case"]
    assert f"{result['size']['checked']} properties" in page


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_every_result_says_how_it_was_made(path: Path) -> None:
    result = _read(path)
    assert result["command"].startswith(("python ", "learnedrecon "))
    assert result.get("seconds_in_all", result.get("seconds", 0)) > 0
    assert "environment" in result or "machine" in result
