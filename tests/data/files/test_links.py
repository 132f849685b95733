"""HDF5 links: followed under every name, or refused with the place where nothing is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from learnedrecon.data.files.arrays import array_header, read_array
from learnedrecon.data.files.exchange import read_data_exchange
from learnedrecon.data.files.hdf5 import broken_links, get_dataset, list_datasets, open_hdf5
from learnedrecon.data.layout import find_layout
from learnedrecon.errors import FileFormatError
from learnedrecon.experiments.data_report import look_at

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

X: NDArray[np.float64] = np.random.default_rng(0).random((3, 4))


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A file in which the same array has a name of its own, and one of every kind of link."""
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = X
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["store/x"] = X
        file["hard"] = file["store/x"]
        file["soft"] = h5py.SoftLink("/store/x")
        file["outside"] = h5py.ExternalLink("other.h5", "/x")
        file["group"] = h5py.SoftLink("/store")
        layout = h5py.VirtualLayout(X.shape, "f8")
        layout[:] = h5py.VirtualSource("other.h5", "x", X.shape)
        file.create_virtual_dataset("virtual", layout)
    return tmp_path / "a.h5"


def test_what_links_lead_to_is_read_under_every_name(linked: Path) -> None:
    names = {"store/x", "hard", "soft", "outside", "group/x", "virtual"}
    with open_hdf5(linked) as file:
        assert list_datasets(file) == dict.fromkeys(names, (3, 4))
        assert not broken_links(file)
    for name in names:
        np.testing.assert_array_equal(read_array(linked, name), X)
        assert array_header(linked, name).shape == (3, 4)


@pytest.mark.parametrize("name", ["outside", "virtual"])
def test_what_another_file_should_hold_is_not_made_up(linked: Path, name: str) -> None:
    """HDF5 itself gives zeros for the missing source of a virtual data set."""
    linked.with_name("other.h5").unlink()
    with pytest.raises(FileFormatError, match=r"other\.h5"):
        read_array(linked, name)


def test_links_to_nothing_are_named_and_circles_end(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["x"] = X
        file["g/up"] = h5py.SoftLink("/")
        file["g/here"] = file["g"]
        file["nothing"] = h5py.SoftLink("/none/x")
        file["gone"] = h5py.ExternalLink("gone.h5", "/x")
        file["itself"] = h5py.SoftLink("/itself")
    with open_hdf5(path) as file:
        assert list_datasets(file) == {"x": (3, 4)}
        assert get_dataset(file, "g/up/x").shape == (3, 4)
        assert {*broken_links(file)} >= {"nothing", "gone", "itself"}
        for key, place in (("nothing", "/none/x"), ("gone", r"gone\.h5:/x"), ("itself", "/itself")):
            with pytest.raises(FileFormatError, match=f"a link to {place}, where nothing is"):
                get_dataset(file, key)


def test_groups_in_groups_without_end_are_refused(tmp_path: Path) -> None:
    """Forty groups of two names each have 2^40 names."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file["/"]
        for number in range(40):
            inner = file.create_group(f"n{number}")
            group["a"] = group["b"] = inner
            group = inner
    with (
        open_hdf5(tmp_path / "a.h5") as file,
        pytest.raises(FileFormatError, match="links in circles"),
    ):
        list_datasets(file)


def test_samples_may_be_links_and_none_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "truths.h5"
    with h5py.File(path, "w") as file:
        file["truth/a"], file["store/b"] = X, X + 1
        file["truth/b"] = h5py.SoftLink("/store/b")
    truths = find_layout(path).truths
    np.testing.assert_array_equal(truths["b"].read(), X + 1)
    assert (truths["b"].shape(), [*truths]) == ((3, 4), ["a", "b"])
    with h5py.File(path, "a") as file:
        del file["store/b"]
    with pytest.raises(FileFormatError, match=r"'truth/b'.*a link to /store/b"):
        find_layout(path)


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_a_scan_is_known_by_its_links(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        counts = file.create_dataset("entry/data/data", data=np.full((20, 2, 31), 500))
        file["exchange/data"] = counts if kind == "hard" else h5py.SoftLink("/entry/data/data")
        file["exchange/data_white"] = np.full((2, 2, 31), 1000)
        file["exchange/data_dark"] = np.zeros((2, 2, 31))
        file["exchange/theta"] = np.arange(20) * 9.0
    assert "Data Exchange, row 1 of 2 (--row chooses another): 20 angles" in look_at(path).lines[0]
    np.testing.assert_allclose(read_data_exchange(path).line_integrals().values, np.log(2))


def test_a_link_to_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.h5")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = h5py.ExternalLink("pipe.h5", "/x")
    with pytest.raises(FileFormatError, match="a pipe or a device"):
        read_array(tmp_path / "a.h5")
