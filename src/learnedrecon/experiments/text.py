"""Text in YAML that is written for people."""

from __future__ import annotations


def quoted(text: str) -> str:
    """The text in double quotes, as YAML reads it back; what does not print is escaped."""
    return '"' + one_line(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def one_line(text: str) -> str:
    """The text with escapes for what does not print, line breaks among it, as in a comment."""
    return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in text)
