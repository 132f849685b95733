"""Modules of public names, for the error message of a wrong name."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parent
_NAMES: Final = re.compile(r"\b(\w+) as \1\b")


def public_names() -> dict[str, str]:
    """The full name of every public object, by its short name, from the stubs of the packages."""
    found = {}
    for stub in sorted(_ROOT.rglob("__init__.pyi"), key=lambda path: -len(path.parts)):
        package = ".".join(stub.parent.relative_to(_ROOT.parent).parts)
        for name in _NAMES.findall(stub.read_text(encoding="utf-8")):
            found[name] = f"{package}.{name}"
    return found


def elsewhere(name: str) -> str:
    """Advice about a name that the package does not have: its module, or the nearest name.

    Args:
        name: Name that was looked up.
    """
    names = public_names()
    text = f"module 'learnedrecon' has no attribute '{name}'"
    if name in names:
        return f"{text}: it is {names[name]}"
    near = difflib.get_close_matches(name, names, n=1)
    return f"{text}: did you mean {names[near[0]]}?" if near else text
