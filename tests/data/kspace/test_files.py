"""Headers and slices of files with k-space, whole, odd and broken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from tests.kspace_files import SMALL, XML, Scan, kspace_of, write_scan

from learnedrecon.data.kspace.files import is_kspace, read_kspace
from learnedrecon.data.kspace.folder import kspace_folder
from learnedrecon.data.kspace.ismrmrd_xml import encoding_header
from learnedrecon.errors import DataError, FileFormatError, LearnedReconError, ShapeError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def test_the_header_of_a_whole_file(tmp_path: Path) -> None:
    file = read_kspace(write_scan(tmp_path / "file1.h5", SMALL.but(padding=3)))
    assert file.shape == (3, 4, 64, 36)
    assert file.coils == 4
    assert file.matrix == (32, 32)
    assert file.voxel == (4.5, 140 / 32, 140 / 32)
    assert file.padding == (3, 33)
    assert file.reference == "reconstruction_rss"
    assert file.attributes == (("acquisition", "AXT2"),)
    assert file.missing == ()


def test_padding_is_that_of_the_challenge() -> None:
    """N/2 - center, and maximum + 1 columns from there on, as its data loader has it."""
    text = XML.format(ky=640, ny=320, nx=320, encoded=368, maximum=331, centre=166)
    assert encoding_header(text, "file").padding == (18, 350)


def test_slices_are_as_in_the_file(tmp_path: Path) -> None:
    path = write_scan(tmp_path / "file1.h5")
    assert np.array_equal(read_kspace(path).slice(2), kspace_of(SMALL)[2])


def test_one_coil_has_no_axis_of_coils(tmp_path: Path) -> None:
    scan = SMALL.but(coils=None)
    file = read_kspace(write_scan(tmp_path / "file1.h5", scan))
    assert file.coils is None
    assert file.reference == "reconstruction_esc"
    assert np.array_equal(file.slice(1), kspace_of(scan)[1])


def test_without_a_header_the_matrix_is_that_of_the_reference(tmp_path: Path) -> None:
    file = read_kspace(write_scan(tmp_path / "file1.h5", SMALL.but(header=False)))
    assert file.matrix == (32, 32)
    assert file.missing == ("the field of view", "the encoded lines")
    bare = read_kspace(write_scan(tmp_path / "file2.h5", SMALL.but(header=False, reference=False)))
    assert bare.matrix == (64, 36)
    assert "the reconstructed matrix" in bare.missing
    assert "a reference image" in bare.missing


def test_fewer_columns_than_the_matrix_give_a_square(tmp_path: Path) -> None:
    """As for the file of the challenge with 203 columns."""
    scan = SMALL.but(kspace=(64, 20))
    assert read_kspace(write_scan(tmp_path / "file1.h5", scan)).matrix == (20, 20)


@pytest.mark.parametrize("tag", ["reconSpace", "encodingLimits", "fieldOfView_mm", "encoding"])
def test_missing_tags_are_named(tag: str) -> None:
    text = XML.format(ky=64, ny=32, nx=32, encoded=36, maximum=35, centre=18)
    without = text.replace(f"<{tag}>", f"<other_{tag}>").replace(f"</{tag}>", f"</other_{tag}>")
    assert encoding_header(without, "file").missing


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<a>",
        "no header",
        '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        "<a>" + "b" * (1 << 22) + "</a>",
    ],
)
def test_texts_that_are_no_header_are_refused(text: str) -> None:
    with pytest.raises(FileFormatError, match="ISMRMRD header"):
        encoding_header(text, "file1.h5")


@pytest.mark.parametrize("value", ["-1", "nan", "1e99", "many", ""])
def test_impossible_numbers_count_as_missing(value: str) -> None:
    text = XML.format(ky=64, ny=value, nx=32, encoded=36, maximum=35, centre=18)
    assert encoding_header(text, "file").matrix is None


def test_the_mask_of_a_test_file(tmp_path: Path) -> None:
    mask = tuple(int(k % 4 == 0 or 14 <= k < 22) for k in range(36))
    file = read_kspace(write_scan(tmp_path / "file1.h5", SMALL.but(mask=mask)))
    assert file.mask == tuple(bool(m) for m in mask)
    assert file.reference is None


def spoiled(path: Path, key: str, values: NDArray[Any] | None) -> Path:
    write_scan(path)
    with h5py.File(path, "r+") as file:
        if key in file:
            del file[key]
        if values is not None:
            file[key] = values
    return path


@pytest.mark.parametrize(
    ("key", "values", "kind"),
    [
        ("kspace", np.ones((3, 4, 64, 36)), DataError),
        ("kspace", np.ones((4, 64), np.complex64), ShapeError),
        ("kspace", np.ones((0, 4, 64, 36), np.complex64), ShapeError),
        ("mask", np.ones(35), DataError),
        ("mask", np.full(36, 0.5), DataError),
        ("reconstruction_rss", np.ones((2, 32, 32), np.float32), ShapeError),
        ("reconstruction_rss", np.ones((3, 32), np.float32), ShapeError),
        ("ismrmrd_header", "<broken", FileFormatError),
        ("kspace", None, FileFormatError),
    ],
)
def test_wrong_content_is_said(
    tmp_path: Path, key: str, values: NDArray[Any] | None, kind: type[LearnedReconError]
) -> None:
    with pytest.raises(kind, match=r"Expected .* Found .* What to do"):
        read_kspace(spoiled(tmp_path / "file1.h5", key, values))


def test_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    values = kspace_of(SMALL)
    values[1, 0, 3, 4] = np.nan
    file = read_kspace(spoiled(tmp_path / "file1.h5", "kspace", values))
    file.slice(0)
    with pytest.raises(DataError, match="slice 1"):
        file.slice(1)


@pytest.mark.parametrize("ending", ["npy", "npz", "h5"])
@pytest.mark.parametrize("axes", ["slice coil ky kx", "kx slice ky coil", "coil ky kx", "ky kx"])
def test_named_axes_in_any_order(tmp_path: Path, ending: str, axes: str) -> None:
    whole = kspace_of(SMALL.but(slices=2))
    names = axes.split()
    order = ["slice", "coil", "ky", "kx"]
    part = whole[tuple(slice(None) if n in names else 0 for n in order)]
    kept = [n for n in order if n in names]
    values = part.transpose([kept.index(name) for name in names])
    path = tmp_path / f"scan.{ending}"
    if ending == "npy":
        np.save(path, values)
    elif ending == "npz":
        np.savez(path, some=values)
    else:
        with h5py.File(path, "w") as file:
            file["raw"] = values
    key = {"npy": "", "npz": "key: some\n", "h5": "key: raw\n"}[ending]
    (tmp_path / "scan.yaml").write_text(
        f"axes: [{', '.join(names)}]\n{key}voxel: [3, 1, 1]\nmatrix: [32, 32]\n"
    )
    assert is_kspace(path)
    found = read_kspace(path)
    assert found.coils == (4 if "coil" in names else None)
    last = 1 if "slice" in names else 0
    expected = whole[last] if "coil" in names else whole[last, :1]
    assert np.array_equal(found.slice(last), expected)
    assert found.matrix == (32, 32)


def test_one_text_names_the_axes_of_a_folder(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", kspace_of(SMALL)[0])
    assert not is_kspace(tmp_path / "a.npy")
    (tmp_path / "kspace.yaml").write_text("axes: [coil, ky, kx]\n")
    assert is_kspace(tmp_path / "a.npy")


@pytest.mark.parametrize(
    "text",
    ["axes: [coil, ky]", "axes: [ky, kx, kz]", "axes: [ky, kx, kx]", "axes: [ky, kx]", "axes: 3",
     "axes: [coil, ky, kx]\nmatrix: [0, 1]", "axes: [coil, ky, kx]\nspeed: 3"],
)  # fmt: skip
def test_wrong_side_cars_are_said(tmp_path: Path, text: str) -> None:
    np.save(tmp_path / "a.npy", kspace_of(SMALL)[0])
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(LearnedReconError, match=r"Expected .* Found .* What to do"):
        read_kspace(tmp_path / "a.npy")


def test_a_geometry_beside_a_sinogram_is_no_side_car(tmp_path: Path) -> None:
    np.save(tmp_path / "scan.npy", np.ones((6, 24), np.float32))
    (tmp_path / "scan.yaml").write_text("name: parallel_beam\nshape: [16, 16]\n")
    assert not is_kspace(tmp_path / "scan.npy")
    (tmp_path / "scan.yaml").write_text("a: [")
    assert not is_kspace(tmp_path / "scan.npy")


def test_a_folder_of_everything(tmp_path: Path) -> None:
    write_scan(tmp_path / "file1.h5")
    write_scan(tmp_path / "file2.h5", Scan(kspace=(64, 40), coils=3))
    whole = (tmp_path / "file1.h5").read_bytes()
    (tmp_path / "file3.h5").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "notes.txt").write_text("x")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = np.ones(3)
    found = kspace_folder(tmp_path)
    assert [file.path.name for file in found.files] == ["file1.h5", "file2.h5"]
    assert [path.name for path in found.broken] == ["file3.h5"]
    assert {path.name for path in found.beside} == {"notes.txt", "other.h5"}
    (tmp_path / "file3.h5").write_bytes(whole)
    assert not kspace_folder(tmp_path).broken, "a file that was repaired is read again"
