"""Reading, overriding and writing of configuration files."""

from __future__ import annotations

import logging
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_type_hints

from learnedrecon.config.extensions import import_modules
from learnedrecon.config.schema import SPLITS, Config
from learnedrecon.data.conventions import plain_operator
from learnedrecon.data.registry import DATASETS
from learnedrecon.data.yaml_text import dump_yaml, load_yaml, read_yaml
from learnedrecon.errors import ConfigError, LearnedReconError, describe, shown
from learnedrecon.files import write_text
from learnedrecon.models.registry import MODELS
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.specs import from_plain, named_from_plain, named_to_plain, to_plain
from learnedrecon.training.losses import LOSSES

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    from learnedrecon.recorded import Record
    from learnedrecon.specs import Plain, Registry

_LOG = logging.getLogger(__name__)

T = TypeVar("T")
FILL_IN: Final = "FILL_IN"
"""The placeholder of templates for a value that is not known."""

_OF_IMAGES: Final = ("image_scale",)


def read_config(
    path: str | os.PathLike[str], overrides: Sequence[str] = (), *, unused: Sequence[str] = ()
) -> Config:
    """The configuration of a file.

    A relative path of data in the file is relative to the folder of the file, one in an override to
    the working folder; the configuration has absolute paths. Ellipses without a ``split`` have that
    of their section.

    Args:
        path: Path of a YAML file.
        overrides: Texts ``a.b=c`` with c in YAML; later ones take precedence. One that gives a
            section another ``name`` removes the other keys of the section, but for
            ``image_scale`` of the model, which is measured of the images.
        unused: Sections that the caller does not need, such as "training" where a finished run is
            scored. An error in one of them is logged, and its defaults are used.

    Raises:
        FileFormatError: The file cannot be read.
        ConfigError: A key is unknown (the nearest known one is named), or a value is wrong.
    """
    values = _unshared(read_yaml(path))
    _locate_data(values, Path(path).parent)
    measured = _measured(values)
    for text in overrides:
        _override(values, text)
    _locate_data(values, Path())
    if isinstance(values, dict):
        import_modules(values.get("imports", ()))
        _keep_measured(values, measured)
        _refuse_unfilled(values.get("operator", {}), "operator", path)
        values = _without_wrong(values, unused, path)
        if "operator" in values:
            values["operator"] = plain_operator(values["operator"], "operator", Path(path).parent)
        values = _with_named_specs(values)
    return from_plain(Config, values)


def _without_wrong(
    values: dict[str, Any], unused: Sequence[str], path: str | os.PathLike[str]
) -> dict[str, Any]:
    """The values without those sections of ``unused`` that are wrong."""
    kinds = get_type_hints(Config, include_extras=True)
    kept = dict(values)
    for name in unused:
        if name in kept:
            try:
                from_plain(kinds[name], kept[name], name)
            except LearnedReconError as error:
                _LOG.warning("'%s' of %s is wrong, and is not used here: %s", name, path, error)
                del kept[name]
    return kept


def dump_config(config: Config) -> str:
    """The configuration as YAML, with all values.

    Args:
        config: Configuration.
    """
    return dump_yaml(to_plain(config))


def read_geometry(path: str | os.PathLike[str]) -> Record:
    """The spec of an operator, such as a geometry, from a YAML file.

    Args:
        path: Path of the file.

    A file with a ``convention`` in place of a ``name`` is that of another library, see
    :func:`learnedrecon.data.conventions.plain_operator`.

    Raises:
        FileFormatError: The file cannot be read.
        ConfigError: A name or key is unknown, or a value is wrong.
    """
    return _operator(read_yaml(path), "geometry", path)


def read_operator(path: str | os.PathLike[str]) -> Record:
    """The spec of an operator from a geometry file, a configuration or a run folder.

    Args:
        path: Path of the file or folder.

    Raises:
        FileFormatError: The file cannot be read.
        ConfigError: A name or key is unknown, or a value is wrong.
    """
    path = Path(path)
    path = path / "config.yaml" if path.is_dir() else path
    values = read_yaml(path)
    if isinstance(values, dict) and "operator" in values:
        return _operator(values["operator"], "operator", path)
    if not isinstance(values, dict) or not {"name", "convention"} & values.keys():
        raise ConfigError(
            describe(
                expected=f"{path} to be a geometry with a 'name', or a configuration with an "
                "'operator'",
                found=shown(values),
                fix="add the one that is missing, or name another file",
            )
        )
    return _operator(values, "geometry", path)


def dump_operator(spec: Record) -> str:
    """The spec of an operator as YAML.

    Args:
        spec: Spec of a registered operator.
    """
    return dump_yaml(operator_to_plain(spec))


def write_geometry(path: str | os.PathLike[str], spec: Any) -> None:  # noqa: ANN401 - any operator spec
    """Atomic write of the spec of an operator to a YAML file.

    Args:
        path: Path of the file.
        spec: Spec of a registered operator.
    """
    write_text(path, dump_operator(spec))


def operator_to_plain(spec: Record) -> dict[str, Any]:
    """The spec of an operator as plain data with its name.

    Args:
        spec: Spec of a registered operator.
    """
    return named_to_plain(OPERATORS, spec)


def _unshared(values: Plain) -> Plain:
    """A copy in which what YAML aliases share is there several times, to be changed alone."""
    if isinstance(values, dict):
        return {key: _unshared(value) for key, value in values.items()}
    return [_unshared(value) for value in values] if isinstance(values, list) else values


def _locate_data(values: Plain, folder: Path) -> None:
    """Makes the paths of data absolute, in place."""
    data = values.get("data") if isinstance(values, dict) else None
    for section in data.values() if isinstance(data, dict) else ():
        if isinstance(section, dict) and isinstance(section.get("path"), str):
            section["path"] = str((folder / section["path"]).resolve())


def _measured(values: Plain) -> dict[str, Any]:
    """The keys of a section 'model' that describe the images, not the method."""
    model = values.get("model") if isinstance(values, dict) else None
    return (
        {key: model[key] for key in _OF_IMAGES if key in model} if isinstance(model, dict) else {}
    )


def _keep_measured(values: dict[str, Any], measured: dict[str, Any]) -> None:
    """Puts back what overrides of the model dropped and the model they name has, in place."""
    model = values.get("model")
    name = model.get("name") if isinstance(model, dict) else None
    if not isinstance(model, dict) or not isinstance(name, str) or name not in MODELS:
        return
    known = {each.name for each in fields(MODELS[name].spec)}
    for key in measured.keys() & known - model.keys():
        model[key] = measured[key]
        _LOG.info(f"model.{key} stays {measured[key]}, as of the file: it is of the images.")


def _with_named_specs(values: dict[str, Any]) -> dict[str, Any]:
    """Specs in place of named sections, so that messages have whole paths of keys."""
    read = _read_named(values, {"operator": OPERATORS, "model": MODELS, "loss": LOSSES})
    if isinstance(values.get("data"), dict):
        named = [key for key in (*SPLITS, "images") if values["data"].get(key, "") is not None]
        splits: dict[str, Registry[Any]] = dict.fromkeys(named, DATASETS)
        read["data"] = _read_named(values["data"], splits, "data.")
    return read


def _read_named(
    values: dict[str, Any], registries: Mapping[str, Registry[Any]], where: str = ""
) -> dict[str, Any]:
    return {
        key: named_from_plain(registries[key], value, where + key) if key in registries else value
        for key, value in values.items()
    }


def _operator(values: Plain, where: str, path: str | os.PathLike[str]) -> Record:
    _refuse_unfilled(values, where, path)
    values = plain_operator(values, where, Path(path).parent)
    return named_from_plain(OPERATORS, values, where)


def _refuse_unfilled(values: Plain, where: str, path: str | os.PathLike[str]) -> None:
    """Refuses what templates have in place of what they do not know."""
    unfilled = [name for name, value in _leaves(values, where) if value == FILL_IN]
    if unfilled:
        raise ConfigError(
            describe(
                expected=f"{', '.join(unfilled)} in {path}",
                found=f"{FILL_IN}, the mark of missing values",
                fix=f"write the value in place of {FILL_IN}",
            )
        )


def _leaves(values: Plain, where: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(values, dict):
        yield where, values
        return
    for key, value in values.items():
        yield from _leaves(value, f"{where}.{key}")


def _override(values: Plain, text: str) -> None:
    path, sign, value = text.partition("=")
    keys = path.strip().split(".")
    if not sign or not all(keys):
        raise ConfigError(
            describe(
                expected="--set path.to.key=value",
                found=shown(text),
                fix="write for example --set training.steps=1000",
            )
        )
    for key in keys[:-1]:
        if not isinstance(values, dict) or not isinstance(values.get(key, {}), dict):
            raise ConfigError(
                describe(
                    expected=f"'{key}' in '{path}' to hold further keys",
                    found=f"{key} = {shown(values.get(key))}"
                    if isinstance(values, dict)
                    else shown(values),
                    fix="check the path against the configuration file",
                )
            )
        values = values.setdefault(key, {})
    new = load_yaml(value, f"--set {path}")
    if not isinstance(values, dict):
        raise ConfigError(
            describe(
                expected="a configuration of keys and values",
                found=shown(values),
                fix="correct the file, or write a new one with 'learnedrecon init'",
            )
        )
    if keys[-1] == "name" and values.get("name", new) != new:
        values.clear()
    values[keys[-1]] = new
