"""A description of files with k-space, in sentences."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from learnedrecon.data.kspace.facts import kspace_facts
from learnedrecon.data.kspace.folder import kspace_folder
from learnedrecon.errors import LearnedReconError

if TYPE_CHECKING:
    from pathlib import Path

    from learnedrecon.data.kspace.facts import KSpaceFacts
    from learnedrecon.data.kspace.folder import FolderContent
    from learnedrecon.data.kspace.header import KSpaceFile
    from learnedrecon.data.kspace.simulated import MagnitudeSimulation

_SHOWN = 12


def kspace_lines(
    path: Path, simulation: MagnitudeSimulation | None = None
) -> tuple[tuple[str, ...], bool]:
    """Sentences about a file or a folder with k-space, and True if nothing in it is broken.

    The middle slice of every file is read.

    Args:
        path: Path of the file or folder.
        simulation: Simulation of k-space from magnitude images, or None for files with k-space.

    Raises:
        FileFormatError: There is no such path, or a single file cannot be read.
        DataError: A single file has values that are NaN, infinite or all zero.
    """
    content = kspace_folder(path, simulation)
    if path.is_dir():
        return _folder_lines(path, content)
    for why in content.broken.values():
        return (f"PROBLEM: {why}",), False
    (file,) = content.files
    facts = kspace_facts(file, file.shape[0] // 2)
    return (*_file_lines(file, facts), _next_line(file, facts)), True


def _file_lines(file: KSpaceFile, facts: KSpaceFacts) -> tuple[str, ...]:
    slices, _, ky, kx = file.shape
    number = "one slice" if slices == 1 else f"{slices} slices"
    coils = "one coil" if file.coils is None else f"{file.coils} coils"
    ny, nx = file.matrix
    voxel = "" if file.voxel is None else _voxel_text(file.voxel)
    relative = facts.noise / facts.largest
    return (
        f"{file.path}: k-space in {file.source.layout},",
        f"{number}, {coils}, {ky} x {kx} samples (ky, kx).",
        f"Images: {ny} x {nx} pixels{voxel}.",
        *_attribute_lines(file),
        f"Slice {slices // 2}: {_mask_text(facts, kx)}.",
        *_padding_lines(file, facts),
        (
            f"Noise: σ = {facts.noise:.3g} in real and imaginary parts, from outer k-space; "
            f"{relative:.2g} of the largest value."
        ),
        *file.notes,
        f"Missing: {', '.join(file.missing) or 'nothing'}.",
    )


def _attribute_lines(file: KSpaceFile) -> tuple[str, ...]:
    named = dict(file.attributes)
    words = [f"acquisition {named['acquisition']}"] if "acquisition" in named else []
    words += [f"reference images '{file.reference}'"] if file.reference else []
    return (f"With {', '.join(words)}.",) if words else ()


def _voxel_text(voxel: tuple[float, float, float]) -> str:
    dz, dy, dx = voxel
    return f" of {dy:.4g} x {dx:.4g} mm, slices of {dz:.4g} mm"


def _mask_text(facts: KSpaceFacts, columns: int) -> str:
    span = facts.span[1] - facts.span[0]
    whole = "" if span == columns else f" of columns {facts.span[0]} to {facts.span[1] - 1}"
    cy, cx = facts.centre
    if facts.full:
        return f"all samples{whole}"
    if facts.lines:
        return (
            f"{facts.columns} of {span} columns{whole}, acceleration {facts.acceleration:.2f}, "
            f"{cx} columns in the centre"
        )
    return (
        f"a mask of points{whole}, acceleration {facts.acceleration:.2f}, a centre of {cy} x {cx}"
    )


def _padding_lines(file: KSpaceFile, facts: KSpaceFacts) -> tuple[str, ...]:
    """Notes on columns about which header and samples differ."""
    lines: tuple[str, ...] = ()
    if file.padding is not None and facts.full and file.padding != facts.span:
        first, last = file.padding
        lines = (f"The header has columns {first} to {last - 1}; those with samples are used.",)
    if file.mask is not None and sum(file.mask) < facts.columns:
        lines += (f"The file's mask has {sum(file.mask)} columns; those with samples are used.",)
    return lines


def _next_line(file: KSpaceFile, facts: KSpaceFacts) -> str:
    if facts.full and file.path.parent.is_dir():
        return f"Next: learnedrecon init --from {file.path.parent} -o config.yaml"
    return f"Next: learnedrecon reconstruct cg_sense {file.path} -o image.h5"


def _folder_lines(path: Path, content: FolderContent) -> tuple[tuple[str, ...], bool]:
    broken = dict(content.broken)
    seen: list[tuple[KSpaceFile, KSpaceFacts]] = []
    for file in content.files:
        try:
            seen.append((file, kspace_facts(file, file.shape[0] // 2)))
        except LearnedReconError as error:
            broken[file.path] = str(error)
    slices = sum(file.shape[0] for file, _ in seen)
    lines = [f"{path}: {len(seen)} files with k-space, {slices} slices."]
    shapes = Counter((file.coils, file.shape[2:], file.matrix) for file, _ in seen)
    for (coils, (ky, kx), (ny, nx)), number in shapes.most_common(_SHOWN):
        what = "one coil" if coils is None else f"{coils} coils"
        lines.append(f"  {number} of {what}, {ky} x {kx} samples, images of {ny} x {nx}")
    for file, facts in seen[:_SHOWN]:
        missing = f"; missing: {', '.join(file.missing)}" if file.missing else ""
        text = f"{_mask_text(facts, file.shape[3])}, σ = {facts.noise:.3g}{missing}"
        lines.append(f"  {file.path.name}: {file.shape[0]} slices, {text}")
    lines += [f"  and {len(seen) - _SHOWN} more"] if seen[_SHOWN:] else []
    lines += [f"PROBLEM: {file.name}: {why}" for file, why in list(broken.items())[:_SHOWN]]
    if content.beside:
        lines.append(f"{len(content.beside)} other files, such as {content.beside[0].name}.")
    lines += sorted({note for file, _ in seen for note in file.notes})
    if any(facts.full for _, facts in seen):
        lines.append(f"Next: learnedrecon init --from {path} -o config.yaml")
    elif seen:
        lines.append(
            "No file is fully sampled: there is no true image to learn from. Next: "
            f"learnedrecon reconstruct cg_sense {seen[0][0].path} -o image.h5"
        )
    return tuple(lines), not broken
