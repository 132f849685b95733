"""Tables of scores for the terminal and for Markdown."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from learnedrecon.evaluation.scores import Scores
    from learnedrecon.evaluation.volume_scores import VolumeScores
    from learnedrecon.metrics.statistics import Summary

_COLUMNS = ("method", "PSNR (dB)", "SSIM", "NMSE", "ms / image", "parameters")
_VOLUME_COLUMNS = ("method", "volume PSNR (dB)", "volume SSIM", "volume NMSE")


def rows(scores: Sequence[Scores], *, sign: str = "±") -> list[tuple[str, ...]]:
    """One row of text per method: mean and standard deviation over the images, NMSE as its mean.

    Args:
        scores: Scores of the methods.
        sign: Text between mean and standard deviation.
    """
    return [_row(score, sign) for score in scores]


def rich_table(scores: Sequence[Scores], title: str, *, ascii_only: bool = False) -> Table:
    """A table for a terminal of 80 columns; names that are too long are folded, never cut.

    Args:
        scores: Scores of the methods.
        title: Text above the table.
        ascii_only: True if the terminal shows only ASCII.
    """
    sign = "+-" if ascii_only else "±"
    several = any(score.images > 1 for score in scores)
    caption = f"{sign}: one standard deviation over the images" if several else None
    table = Table(
        title=title,
        title_justify="left",
        caption=caption,
        caption_justify="left",
        box=box.ASCII_DOUBLE_HEAD if ascii_only else box.SIMPLE_HEAD,
        padding=(0, 1),
        show_edge=False,
    )
    table.add_column(_COLUMNS[0], overflow="fold")
    for name in _COLUMNS[1:]:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows(scores, sign=sign):
        table.add_row(*row)
    return table


def rich_tables(
    scores: Sequence[Scores], data_range: str, *, ascii_only: bool = False
) -> list[Table]:
    """The table of scores, and where the images are slices of volumes, that of volumes.

    Args:
        scores: Scores of the methods on the same images.
        data_range: Data range of the scores of images, in words.
        ascii_only: True if the terminal shows only ASCII.
    """
    first = scores[0]
    title = f"{first.images} test {first.unit}s, data range {data_range}"
    tables = [rich_table(scores, title, ascii_only=ascii_only)]
    if first.volume is not None and first.volume.names:
        tables.append(_volume_table(scores, first.volume, ascii_only=ascii_only))
    return tables


def _volume_table(scores: Sequence[Scores], first: VolumeScores, *, ascii_only: bool) -> Table:
    sign = "+-" if ascii_only else "±"
    number = len(first.names)
    against = f"against the reference images of {first.referenced} files, " * bool(first.referenced)
    table = Table(
        title=f"{number} test volume{'s' * (number > 1)}, {against}as fastMRI scores them",
        title_justify="left",
        caption=f"data range: largest value of each volume{_left_out(first)}",
        caption_justify="left",
        box=box.ASCII_DOUBLE_HEAD if ascii_only else box.SIMPLE_HEAD,
        padding=(0, 1),
        show_edge=False,
    )
    table.add_column(_VOLUME_COLUMNS[0], overflow="fold")
    for name in _VOLUME_COLUMNS[1:]:
        table.add_column(name, justify="right", no_wrap=True)
    for score in scores:
        if score.volume is not None:
            summary, spread = score.volume.summary(), sign if number > 1 else ""
            psnr, ssim = _text(summary["psnr"], 2, spread), _text(summary["ssim"], 3, spread)
            table.add_row(score.method, psnr, ssim, _text(summary["nmse"], 4, ""))
    return table


def _left_out(volumes: VolumeScores) -> str:
    number = len(volumes.incomplete)
    return f"; {number} with slices that were not scored left out" if number else ""


def markdown_table(scores: Sequence[Scores]) -> str:
    """A table of scores in Markdown.

    Args:
        scores: Scores of the methods.
    """
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|---|" + "---:|" * (len(_COLUMNS) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows(scores)]
    return "\n".join(lines) + "\n"


def _row(score: Scores, sign: str) -> tuple[str, ...]:
    summary = score.summary()
    spread = sign if score.images > 1 else ""
    parameters = f"{score.parameters:,}".replace(",", " ")
    return (
        score.method,
        _text(summary["psnr"], 2, spread),
        _text(summary["ssim"], 3, spread),
        _text(summary["nmse"], 4, ""),
        f"{1e3 * score.seconds:.1f}",
        parameters,
    )


def _text(found: Summary, digits: int, sign: str) -> str:
    """Mean and standard deviation; a dash where no image has the score."""
    if math.isnan(found.mean):
        return "-"
    mean = f"{found.mean:.{digits}f}"
    spread = sign and not math.isnan(found.std)
    return f"{mean} {sign} {found.std:.{digits}f}" if spread else mean
