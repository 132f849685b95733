"""Tables of scores for the terminal, for Markdown and for JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from learnedrecon.evaluation.scores import Scores

_COLUMNS = ("method", "PSNR (dB)", "SSIM", "NMSE", "ms / image", "parameters")


def rows(scores: Sequence[Scores]) -> list[tuple[str, ...]]:
    """One row of text per method: mean ± standard deviation over the images."""
    return [_row(score) for score in scores]


def rich_table(scores: Sequence[Scores], title: str) -> Table:
    """A table for the terminal."""
    several = any(score.images > 1 for score in scores)
    caption = "±: one standard deviation over the images" if several else None
    table = Table(title=title, title_justify="left", caption=caption, caption_justify="left")
    for index, name in enumerate(_COLUMNS):
        table.add_column(name, justify="left" if index == 0 else "right")
    for row in rows(scores):
        table.add_row(*row)
    return table


def markdown_table(scores: Sequence[Scores]) -> str:
    """The same table in Markdown."""
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|---|" + "---:|" * (len(_COLUMNS) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows(scores)]
    return "\n".join(lines) + "\n"


def _row(score: Scores) -> tuple[str, ...]:
    summary = score.summary()
    many = score.images > 1

    def text(name: str, digits: int) -> str:
        mean = f"{summary[name].mean:.{digits}f}"
        return f"{mean} ± {summary[name].std:.{digits}f}" if many else mean

    parameters = f"{score.parameters:,}".replace(",", " ")
    return (
        score.method,
        text("psnr", 2),
        text("ssim", 3),
        text("nmse", 4),
        f"{1e3 * score.seconds:.1f}",
        parameters,
    )
