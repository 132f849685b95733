"""Text in YAML that is written for people."""

from __future__ import annotations


def quoted(text: str) -> str:
    """A text in double quotes for YAML, with escapes for characters that do not print.

    Args:
        text: Text.
    """
    return '"' + one_line(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def one_line(text: str) -> str:
    """A text with escapes for characters that do not print, including line breaks, for a comment.

    Args:
        text: Text.
    """
    return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in text)
