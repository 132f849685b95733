"""Presets: commented configurations that are part of the library."""

from __future__ import annotations

from importlib.resources import files

from learnedrecon.specs import unknown


def presets() -> dict[str, str]:
    """The name and the title of every preset."""
    folder = files("learnedrecon.config") / "presets"
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith(".yaml"))
    return {
        name.removesuffix(".yaml"): (folder / name).read_text(encoding="utf-8").split("\n")[0][2:]
        for name in names
    }


def preset_text(name: str) -> str:
    """The commented YAML of a preset.

    Args:
        name: Name of the preset.

    Raises:
        ConfigError: There is no preset of this name; the message has the nearest one.
    """
    known = presets()
    if name not in known:
        raise unknown("a preset", name, known)
    file = files("learnedrecon.config") / "presets" / f"{name}.yaml"
    return file.read_text(encoding="utf-8")
