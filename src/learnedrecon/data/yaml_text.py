"""YAML 1.2 as text: 3e-3 and 010 are numbers, ``yes`` is a text, keys are unique."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import yaml

from learnedrecon.errors import FileFormatError, describe
from learnedrecon.files import read_text
from learnedrecon.specs import refuse_deep

if TYPE_CHECKING:
    import os

    from learnedrecon.specs import Plain

_EXPECTED: Final = "a readable YAML file"
_MERGE: Final = "tag:yaml.org,2002:merge"
_FIX: Final = "repair the file, or write a new one with 'learnedrecon init'"

_PLAIN: Final = {
    "null": (r"~|null|Null|NULL|", "~nN"),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    "merge": ("<<", "<"),
}
"""Types of scalars without quotes, by the core schema of YAML 1.2 (and the merge key of 1.1)."""


class _CoreLoader(yaml.SafeLoader):
    """The core schema of YAML 1.2, which never runs code.

    PyYAML reads YAML 1.1, where ``yes`` is true, ``010`` is eight, ``1:30`` is ninety, 2001-01-01
    is a date, and 3e-3 is a text. A key that comes twice in one section is an error, of which YAML
    would keep the last.
    """

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as in yaml

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - as in yaml
        own = [key for key, _ in node.value if key.tag != _MERGE]
        values = super().construct_mapping(node, deep=deep)
        lines: dict[Any, int] = {}
        for key in own:
            name, line = self.construct_object(key, deep=True), key.start_mark.line + 1
            if name in lines:
                problem = f"the key '{name}' a second time (the first is in line {lines[name]})"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            lines[name] = line
        return values

    def construct_whole_number(self, node: yaml.ScalarNode) -> int:
        """Decimal whatever zeros are in front, or with 0o octal and with 0x hexadecimal."""
        text = str(self.construct_scalar(node))
        bases = {"0o": 8, "0x": 16}
        return int(text, bases.get(text[:2], 10))


for _name, (_pattern, _first) in _PLAIN.items():
    _CoreLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}", re.compile(f"^(?:{_pattern})$"), [*_first]
    )
_CoreLoader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("^$"), [""])
_CoreLoader.add_constructor("tag:yaml.org,2002:int", _CoreLoader.construct_whole_number)


class _Dumper(yaml.SafeDumper):
    """Quotes the texts that YAML 1.1 or 1.2 would take for something else."""


for _name, (_pattern, _first) in _PLAIN.items():
    _Dumper.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}", re.compile(f"^(?:{_pattern})$"), [*_first]
    )


_NEXT_LINE = "\x85"


def dump_yaml(values: Plain) -> str:
    """Plain data as YAML text that :func:`load_yaml` and other readers read in the same way.

    Args:
        values: Dictionaries, lists, texts, numbers, truth values and None.
    """
    options: dict[str, Any] = {"sort_keys": False, "default_flow_style": None, "width": 96}
    text = str(yaml.dump(values, Dumper=_Dumper, allow_unicode=True, **options))
    if _NEXT_LINE in text:  # which readers take for the end of a line
        return str(yaml.dump(values, Dumper=_Dumper, **options))
    return text


def read_yaml(path: str | os.PathLike[str]) -> Plain:
    """The plain data of a YAML file.

    Args:
        path: Path of the file.

    Raises:
        FileFormatError: The file is missing, empty, truncated, too large, or not YAML.
    """
    values = load_yaml(read_text(path, _EXPECTED), str(path))
    if values is None:
        raise _not_yaml(str(path), "an empty file")
    return values


def load_yaml(text: str, where: str = "a text") -> Plain:
    """The plain data of YAML text: dictionaries, lists, texts, numbers, truth values and None.

    Args:
        text: YAML text.
        where: Origin of the text, for messages.

    Raises:
        FileFormatError: The text is not YAML, a key occurs twice in one section, or there is
            something other than plain data, such as a date.
        ConfigError: There are more or deeper values than in any valid file, for example by aliases.
    """
    try:
        values = yaml.load(text, Loader=_CoreLoader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "not valid"
        raise _not_yaml(where, f"{problem}{line}") from error
    except RecursionError as error:
        raise _not_yaml(where, "sections in sections, too deep to be read") from error
    except Exception as error:  # whatever explicit tags make of their texts
        raise _not_yaml(where, f"a value that is not valid ({error})") from error
    refuse_deep(values, where)
    strange = _strange(values)
    if strange is not None:
        raise _not_yaml(where, f"{strange}, where texts and numbers are expected")
    return values


def _strange(values: Plain) -> str | None:
    """The first thing that is not plain data, and None if all are; the depth is bounded."""
    if isinstance(values, dict):
        keys = [key for key in values if not isinstance(key, str)]
        if keys:
            return f"a key of type {type(keys[0]).__name__}"
        return next(filter(None, map(_strange, values.values())), None)
    if isinstance(values, list):
        return next(filter(None, map(_strange, values)), None)
    plain = values is None or isinstance(values, (str, int, float))
    return None if plain else f"a value of type {type(values).__name__}"


def _not_yaml(where: str, found: str) -> FileFormatError:
    return FileFormatError(describe(expected=f"{where} to be {_EXPECTED}", found=found, fix=_FIX))
