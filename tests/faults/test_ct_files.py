"""The scripts of the fault hunt about files of scans, on today's command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from tests.faults.conftest import said

import learnedrecon as lr
from learnedrecon.operators import AngleRange, FlatDetector, ParallelBeam, RayTransform

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.conftest import Say
    from typer.testing import Result

    Run = Callable[..., Result]

SCAN = ParallelBeam((32, 32), AngleRange(40), FlatDetector(61))


def write_scan(path: Path, *, degrees: float, link: str = "none", views: int = 20) -> None:
    """A Data Exchange file whose counts are a data set of their own, or a link to one."""
    random = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        counts = file.create_dataset(
            "entry/data/data", data=random.integers(500, 900, (views, 2, 31))
        )
        links = {"none": counts[...], "hard": counts, "soft": h5py.SoftLink("/entry/data/data")}
        file["exchange/data"] = links[link]
        file["exchange/data_white"] = np.full((2, 2, 31), 1000)
        file["exchange/data_dark"] = np.full((2, 2, 31), 10)
        file["exchange/theta"] = np.arange(views) * degrees


@pytest.mark.parametrize("link", ["hard", "soft"])
def test_f04_links(cli: Run, folder: Path, found: Say, link: str) -> None:
    write_scan(folder / "a.h5", degrees=9.0, link=link)
    result = cli("check", "data", "a.h5")
    line = result.stdout.splitlines()[0]
    found(f"{link}: {line}")
    assert result.exit_code == 0
    assert "Data Exchange" in line
    assert "20 angles" in line


def test_f06_files_that_are_whole(cli: Run, folder: Path, found: Say) -> None:
    x = np.random.default_rng(0).random((20, 31)).astype("f4")
    Image.fromarray(x).save(folder / "lzw.tif", compression="tiff_lzw")
    with tifffile.TiffWriter(folder / "pages.tif") as writer:
        for k in range(3):
            writer.write(x + k)
    results = {name: cli("check", "data", name) for name in ("lzw.tif", "pages.tif")}
    found("; ".join(f"{name} {said(result)[:60]}" for name, result in results.items()))
    assert [result.exit_code for result in results.values()] == [0, 0]
    assert "(20, 31)" in said(results["lzw.tif"])
    assert "(3, 20, 31)" in said(results["pages.tif"])


def test_f09_counts_for_line_integrals(cli: Run, folder: Path, found: Say) -> None:
    """The centre of a disk of 0.02/mm is right, or a word says why it is not."""
    lr.write_geometry(folder / "g.yaml", SCAN)
    s = SCAN.detector.positions
    line = np.tile(0.04 * np.sqrt(np.maximum(12**2 - s**2, 0)), (40, 1))
    data = {"line": line, "share": np.exp(-line), "counts": np.rint(30000 * np.exp(-line))}
    texts = {}
    for name, values in data.items():
        np.save(folder / f"{name}.npy", values.astype("f4" if name != "counts" else "u2"))
        words = ["reconstruct", "fbp", f"{name}.npy", "--geometry", "g.yaml", "-o", f"{name}_o.npy"]
        texts[name] = said(cli(*words))
    centre = float(np.load(folder / "line_o.npy")[12:20, 12:20].mean())
    warned = {name: "look like" in text for name, text in texts.items()}
    found(f"centre {centre:.4f}; a word: {warned}")
    assert centre == pytest.approx(0.02, rel=1e-2)
    assert warned == {"line": False, "share": True, "counts": True}


def test_f09_sinograms_that_turn_the_other_way(cli: Run, folder: Path, found: Say) -> None:
    back = RayTransform(SCAN.with_angles(tuple(-a for a in SCAN.angle_values)))
    lr.write_geometry(folder / "g.yaml", SCAN)
    random = np.random.default_rng(0)
    y, x = np.mgrid[:32, :32]
    for kind in ("measurement", "truth"):
        (folder / "p" / kind).mkdir(parents=True)
    for i in range(6):
        u = np.zeros((32, 32), "f4")
        for a, b, r in random.uniform((8, 8, 2), (24, 24, 5), (4, 3)):
            u += 0.02 * ((x - a) ** 2 + (y - b) ** 2 < r * r)
        np.save(folder / "p" / "truth" / f"{i}.npy", u)
        measured = back(torch.from_numpy(u)[None, None])[0, 0].numpy()
        np.save(folder / "p" / "measurement" / f"{i}.npy", measured)
    result = cli("check", "data", "p", "--geometry", "g.yaml")
    lines = [line.strip() for line in result.stdout.splitlines() if "|" in line or "order" in line]
    found(" / ".join(lines)[:200])
    assert "reverse" in said(result)


def test_f10_folders_that_are_no_true_images(cli: Run, folder: Path, found: Say) -> None:
    random = np.random.default_rng(0)
    mode = folder / "slice" / "mode2"
    mode.mkdir(parents=True)
    counts = random.integers(2000, 30000, (361, 191)).astype("u2")
    tifffile.imwrite(mode / "sinogram.tif", counts)
    for name, value in (("dark", 300), ("flat1", 40000), ("flat2", 40100)):
        tifffile.imwrite(mode / f"{name}.tif", np.full((1, 191), value, "u2"))
    (folder / "lodo").mkdir()
    for number in ("000", "001"):
        for kind, shape in (("observation", (3, 100, 51)), ("ground_truth", (3, 36, 36))):
            with h5py.File(folder / "lodo" / f"{kind}_train_{number}.hdf5", "w") as file:
                file["data"] = random.random(shape)
    texts = [said(cli("check", "data", place)) for place in ("slice/mode2", "lodo")]
    found(" / ".join(text[:90] for text in texts))
    assert "true images" not in texts[0].split("What to do")[0].split("Found")[-1]
    assert "2DeteCT" in texts[0] or "flat" in texts[0]
    assert "LoDoPaB" in texts[1]
    assert "train 6" in texts[1]


def test_f11_a_scan_of_many_turns(cli: Run, folder: Path, found: Say) -> None:
    """The image is that of the same scan with angles modulo 360°."""
    write_scan(folder / "t.h5", degrees=90.5, views=60)
    written = cli("check", "data", "t.h5", "--write-geometry", "g.yaml")
    image = cli("reconstruct", "fbp", "t.h5", "--row", "0", "-o", "o.npy")
    with h5py.File(folder / "t.h5", "a") as file:
        file["exchange/theta"][...] = np.arange(60) * 90.5 % 360
    other = cli("reconstruct", "fbp", "t.h5", "--row", "0", "-o", "p.npy")
    codes = [result.exit_code for result in (written, image, other)]
    assert codes == [0, 0, 0], said(written) + said(image) + said(other)
    text = (folder / "g.yaml").read_text(encoding="utf-8").replace("FILL_IN", "1.0")
    (folder / "g.yaml").write_text(text, encoding="utf-8")
    lr.read_geometry(folder / "g.yaml")
    one, two = np.load(folder / "o.npy"), np.load(folder / "p.npy")
    error = float(np.abs(one - two).max() / np.abs(two).max())
    found(f"exit codes {codes}; against angles modulo 360° {error:.1g}")
    assert error < 1e-6
