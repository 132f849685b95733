"""A description of a folder of measurements and true images, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learnedrecon.data.splits import NUMBERED, numbered_objects, split_ids

if TYPE_CHECKING:
    from learnedrecon.data.summary import ArraySummary, FolderSummary


def folder_lines(summary: FolderSummary) -> tuple[str, ...]:
    """The description of a folder of pairs.

    Args:
        summary: Summary of the folder.
    """
    arrays = (("measurements", summary.measurement), ("true images", summary.truth))
    return (
        f"{summary.path}: {len(summary.ids)} samples.",
        *(_array_line(name, array) for name, array in arrays),
        *_split_lines(summary),
        *([f"{summary.geometries} with a geometry of their own."] if summary.geometries else []),
        *(f"PROBLEM: {line}" for line in (*summary.unmatched, *summary.problems)),
        *([f"{len(summary.ignored)} other files, ignored."] if summary.ignored else []),
    )


def _split_lines(summary: FolderSummary) -> tuple[str, ...]:
    """The number of samples of each split by default, and the empty splits."""
    if summary.truth is None or not summary.ids:
        return ()
    splits = split_ids(summary.ids, groups=summary.groups)
    counts = {name: len(ids) for name, ids in splits.items()}
    text = ", ".join(f"{number} {name}" for name, number in counts.items())
    empty = [name for name, number in counts.items() if not number]
    warning = f" Too few: none for {' and '.join(empty)}." if empty else ""
    return (f"Split by default: {text}.{warning}", *_group_lines(summary))


def _group_lines(summary: FolderSummary) -> tuple[str, ...]:
    """The groups that stay together in a split, or may need to."""
    if summary.groups:
        subjects = len(set(summary.groups.values()))
        return (f"Slices of one patient share a split: {subjects} patients or series (DICOM).",)
    objects = numbered_objects(summary.ids)
    if not objects:
        return ()
    warning = (
        f"WARNING: these seem to be numbered slices of {objects} objects. By default each slice is "
        "put into a split by itself, so that one object is both learned from and tested on."
    )
    return (warning, f"If so, keep the slices of an object together: group: '{NUMBERED}'")


def _array_line(name: str, array: ArraySummary | None) -> str:
    if array is None:
        return f"No {name}."
    shapes = ", ".join(f"{shape} ({number}x)" for shape, number in array.shapes[:5])
    dtypes = ", ".join(dtype for dtype, _ in array.dtypes)
    if array.low is None:
        return f"{array.number} {name}, none of which can be read."
    values = "magnitudes" if "complex" in dtypes else "values"
    return (
        f"{array.number} {name}: {shapes}, {dtypes}, {values} {array.low:.4g} to {array.high:.4g}."
    )
