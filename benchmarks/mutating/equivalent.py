"""Changes that survive and are no faults, each with its reason."""

from __future__ import annotations

EQUIVALENT: dict[tuple[str, str, str], str] = {}
"""By file, line without its indentation, and change."""
