"""Figures: a whole PNG, with the right things on it, or nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from learnedrecon.errors import DataError, FileFormatError
from learnedrecon.evaluation import figure as module
from learnedrecon.evaluation.canvas import canvas as empty
from learnedrecon.evaluation.figure import Panel, Row, comparison

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

TRUTH = np.linspace(0.0, 1.0, 400).reshape(20, 20)


def row(*shifts: float) -> Row:
    panels = tuple(Panel(f"method {k}", TRUTH + s, f"{k} dB") for k, s in enumerate(shifts))
    return Row("phantom", Panel("truth", TRUTH), panels, (0.0, 1.0))


def drawn(monkeypatch: pytest.MonkeyPatch, rows: list[Row], target: Path) -> Figure:
    """The figure that was written."""
    kept: list[Figure] = []

    def canvas(width: float, height: float, dpi: float) -> FigureCanvasAgg:
        made = empty(width, height, dpi)
        kept.append(made.figure)
        return made

    monkeypatch.setattr(module, "canvas", canvas)
    comparison(rows, target)
    (figure,) = kept
    return figure


def texts(figure: Figure) -> list[str]:
    return [
        text
        for axis in figure.axes
        for text in (axis.get_title(), *(t.get_text() for t in axis.texts))
        if text
    ]


def test_a_png_of_the_asked_size(tmp_path: Path) -> None:
    target = tmp_path / "figures" / "comparison.png"
    comparison([row(0.1, -0.2), row(0.0, 0.3)], target, dpi=50)
    with Image.open(target) as image:
        image.load()
        assert image.format == "PNG"
        assert image.size == (round((2.1 * 5 + 1.2) * 50), round(2.1 * 1.05 * 2 * 50))
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.std() > 10
    assert 2_000 < target.stat().st_size < 500_000
    assert [path.name for path in target.parent.iterdir()] == ["comparison.png"]


def test_few_colours_cost_nothing_to_see(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Greys are right within 1 of 255, white and black exactly, nearly all colours within 4.

    The rest are the translucent boxes of captions.
    """
    figure = drawn(monkeypatch, [row(0.1, -0.2, 0.05)], tmp_path / "few.png")
    assert isinstance(figure.canvas, FigureCanvasAgg)
    every = np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(int)
    Image.fromarray(every.astype(np.uint8)).save(tmp_path / "all.png", optimize=True)
    few = np.asarray(Image.open(tmp_path / "few.png").convert("RGB")).astype(int)
    difference = np.abs(few - every).max(axis=-1)
    grey = np.ptp(every, axis=-1) == 0
    extreme = grey & np.isin(every[..., 0], (0, 255))
    assert 0.5 < grey.mean() < 1
    assert difference[grey].max() == 1
    assert difference[extreme].max() == 0
    assert np.quantile(difference[~grey], 0.95) <= 4
    assert (tmp_path / "few.png").stat().st_size < 0.7 * (tmp_path / "all.png").stat().st_size


def test_titles_numbers_and_errors_are_on_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    figure = drawn(monkeypatch, [row(0.1, -0.2)], tmp_path / "a.png")
    found = texts(figure)
    for text in ("truth", "phantom", "method 0", "method 1", "0 dB", "1 dB", "error maps"):
        assert found.count(text) == 1, text
    assert {"rms 0.1", "rms 0.2"} <= set(found)


def test_windows_and_error_scales(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Images share the row's window; errors share one symmetric scale and are not clipped away."""
    figure = drawn(monkeypatch, [row(0.1, -0.2)], tmp_path / "a.png")
    images = [axis.images[0] for axis in figure.axes if axis.images]
    limits = [image.get_clim() for image in images]
    assert limits[:3] == [(0.0, 1.0)] * 3
    assert limits[3:5] == [pytest.approx((-0.2, 0.2))] * 2
    errors = [np.asarray(image.get_array()) for image in images[3:5]]
    np.testing.assert_allclose(errors[0], 0.1)
    np.testing.assert_allclose(errors[1], -0.2)


def test_rows_may_have_different_numbers_of_methods(tmp_path: Path) -> None:
    comparison([row(0.1, 0.2, 0.3), row(0.1)], tmp_path / "a.png", dpi=40)
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (round((2.1 * 7 + 1.2) * 40), round(2.1 * 1.05 * 2 * 40))


@pytest.mark.parametrize("methods", [1, 2, 3])
@pytest.mark.parametrize("objects", [2, 3])
def test_several_objects_make_a_wide_figure(tmp_path: Path, objects: int, methods: int) -> None:
    comparison([row(*[0.1] * methods)] * objects, tmp_path / "a.png", dpi=30)
    with Image.open(tmp_path / "a.png") as image:
        assert image.width > image.height


@pytest.mark.parametrize("objects", [1, 2])
def test_every_scale_has_the_unit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, objects: int
) -> None:
    each = replace(row(0.1, -0.2), unit="1/mm")
    figure = drawn(monkeypatch, [each] * objects, tmp_path / "a.png")
    assert [axis.get_ylabel() for axis in figure.axes].count("1/mm") == 2 * objects
    assert texts(figure).count("method 0 - truth") == (objects if objects > 1 else 0)


def test_an_exact_method_has_an_error_map_too(tmp_path: Path) -> None:
    comparison([row(0.0)], tmp_path / "a.png", dpi=40)
    assert (tmp_path / "a.png").stat().st_size > 1_000


@pytest.mark.parametrize("rows", [[], [row()], [row(0.1), row()]])
def test_nothing_to_compare_is_an_error(tmp_path: Path, rows: list[Row]) -> None:
    with pytest.raises(DataError, match=r"Expected(?s:.*)Found(?s:.*)What to do"):
        comparison(rows, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_a_failure_keeps_the_old_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    comparison([row(0.1)], target, dpi=40)
    old = target.read_bytes()

    def fail(_image: object, path: Path, **_options: object) -> None:
        path.write_bytes(b"half a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(FileFormatError, match="No space left on device"):
        comparison([row(0.2)], target)
    assert target.read_bytes() == old
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_nothing_of_matplotlib_is_changed(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    comparison([row(0.1)], tmp_path / "a.png", dpi=40)
    assert dict(mpl.rcParams) == before
