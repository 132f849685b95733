"""Tables of results, written once for a page and for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import rich.table

Cell = str | Callable[[Any], object]
"""The key of a value in a row, or what finds the value."""


@dataclass(frozen=True)
class Table:
    """Lines of text under heads.

    Attributes:
        heads: one per column.
        rows: each as long as the heads.
        note: a paragraph below; may be empty.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def markdown(self) -> str:
        """The table as a page has it."""
        lines = [self.heads, ["---"] * len(self.heads), *self.rows]
        bare = ([cell.replace("|", r"\|") for cell in cells] for cells in lines)
        text = "".join(f"| {' | '.join(cells)} |\n" for cells in bare)
        return text + (f"\n{self.note}\n" if self.note else "")

    def rich(self) -> rich.table.Table:
        """The table as a terminal shows it."""
        found = rich.table.Table(*self.heads, caption=self.note or None)
        for row in self.rows:
            found.add_row(*row)
        return found


def table(rows: Iterable[Any], columns: Mapping[str, Cell], note: str = "") -> Table:
    """A table with a line for every row and a column for every entry.

    Args:
        rows: Mappings, or whatever the cells take.
        columns: Heads and cells; a missing key is an empty cell.
        note: Paragraph below the table.
    """
    found = (tuple(shown(_value(row, cell)) for cell in columns.values()) for row in rows)
    return Table(tuple(columns), tuple(found), note)


def _value(row: Any, cell: Cell) -> object:  # noqa: ANN401 - what the cells take
    return row.get(cell) if isinstance(cell, str) else cell(row)


def shown(value: object) -> str:
    """A value as text: nothing for None, yes or no, three digits of a number."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.3g}"
        case _:
            return str(value)


def seconds(value: float) -> str:
    """A time in s, or in ms below one."""
    return f"{value:.3g} s" if value >= 1 else f"{1e3 * value:.3g} ms"


def bound(row: Mapping[str, Any]) -> str | None:
    """A target as '≥ 50' or '≤ 3'; None without one."""
    if row.get("target") is None:
        return None
    return f"{'≤' if row.get('at_most') else '≥'} {row['target']:g}"


def on_page(parts: Iterable[Table | str]) -> str:
    """Tables and paragraphs, one below the other."""
    texts = (part.markdown() if isinstance(part, Table) else part for part in parts)
    return "\n".join(text for text in texts if text)


def machine(content: Mapping[str, Any]) -> str:
    """Where, when and with what a result was measured."""
    peers = ", ".join(f"{name} {of or '(missing)'}" for name, of in content["peers"].items())
    return (
        f"`{content['command']}`, {content['seconds']:.0f} s: {place(content)}; "
        f"load {content['load_before']:.1f} before; "
        f"torch {content['environment']['packages']['torch']}; {peers}; commit {commit(content)}.\n"
    )


def place(content: Mapping[str, Any]) -> str:
    """The processor and how much of it was used."""
    parts = (content["cpu"], f"{content['cores']} cores", f"{content['threads']} threads")
    return ", ".join([*parts, content["isa"]])


def commit(content: Mapping[str, Any]) -> str:
    """The first digits of the commit, and whether the tree had changes."""
    git = content["environment"]["git"] or {"commit": "unknown", "modified": False}
    return git["commit"][:12] + (" with changes" if git["modified"] else "")
