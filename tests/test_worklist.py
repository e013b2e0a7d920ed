"""The GPU kernels' work list: its tables, read as the kernels read them, give the oracle's masks, alphas and owners."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from anonfilter.kernels import ref, worklist
from anonfilter.kernels.formats import FORMATS
from anonfilter.kernels.targets import SHAPES, Target

# With --import-mode=importlib this folder is not on the path.
sys.path.append(str(Path(__file__).parent))
kernel_cases = importlib.import_module("kernel_cases")


def made(case: object, **how: object) -> worklist.WorkList:
    height, width = case.planes.arrays[0].shape
    return worklist.build(
        case.planes.fmt, width, height, case.targets, case.options["feather"], case.options["siting"], **how
    )


def ramp(f: int, distance: np.ndarray) -> np.ndarray:
    return np.where(distance <= f, 256 * (f + 1 - distance) // (f + 1), 0)


def alpha(work: worklist.WorkList, r: np.void) -> np.ndarray:
    """A region's alpha on its box, from the tables only."""
    xs, ys = np.arange(r["x"], r["x"] + r["width"]), np.arange(r["y"], r["y"] + r["height"])
    shape = SHAPES[r["shape"]]
    if shape == "mask":
        return work.alphas[r["alpha"] :][: r["width"] * r["height"]].astype(int).reshape(r["height"], r["width"])
    if shape == "rect":
        dx = np.maximum(np.maximum(r["left"] - xs, xs - r["right"] + 1), 0)
        dy = np.maximum(np.maximum(r["top"] - ys, ys - r["bottom"] + 1), 0)
        return np.minimum(ramp(r["fx"], dx), ramp(r["fy"], dy)[:, None])
    if not r["fx"] and not r["fy"]:
        return 256 * mask(work, r)
    out = np.zeros((r["height"], r["width"]), int)
    for d in range(r["fy"] + 1):
        near = np.clip(r["middle"], ys - d, ys + d) - (r["y"] - r["fy"])
        first, end = work.spans[r["object"] + near].T[:, :, None]
        x = np.arange(r["width"])
        distance = np.where(first < end, np.maximum(np.maximum(first - x, x - end + 1), 0), 1 << 20)
        out = np.maximum(out, np.minimum(ramp(r["fy"], np.int64(d)), ramp(r["fx"], distance)))
    return out


def mask(work: worklist.WorkList, r: np.void, by: str = "rows") -> np.ndarray:
    """An ellipse's mask from its rows' or its columns' spans."""
    count, length = (r["height"], r["width"]) if by == "rows" else (r["width"], r["height"])
    first, end = work.spans[r[by] :][:count].T[:, :, None]
    where = np.arange(length)
    out = (first <= where) & (where < end)
    return out if by == "rows" else out.T


@pytest.mark.parametrize("name", FORMATS)
def test_alpha_mask_and_owner_are_the_oracles(name: str) -> None:
    fmt = FORMATS[name]
    compared = 0
    for seed in range(40):
        case = kernel_cases.case("blur", name, seed)
        work = made(case)
        channels = ref.channels(case.planes.arrays, fmt, case.options["siting"])
        for index, channel in enumerate(channels):
            regions = work.regions[work.regions["component"] == index]
            expected = [ref.alpha_map(t, channel, case.options["feather"]) for t in case.targets]
            size = channel.samples.shape
            best, owner = np.zeros(size, int), np.full(size, -1)
            for t, (left, top, a) in zip(case.targets, expected, strict=True):
                match = [r for r in regions if r["rank"] == rank_of(case.targets, t)]
                if not a.any():
                    assert not any(alpha(work, r).any() for r in match)
                    continue
                (r,) = match
                whole = np.zeros(size, int)
                whole[top : top + a.shape[0], left : left + a.shape[1]] = a
                box = slice(r["y"], r["y"] + r["height"]), slice(r["x"], r["x"] + r["width"])
                assert np.array_equal(alpha(work, r), whole[box]), (seed, index, t)
                whole[box] = 0
                assert not whole.any()
                if t.shape == "ellipse":
                    compared += 1
                    assert np.array_equal(mask(work, r), alpha(work, r) > 0)
                    assert np.array_equal(mask(work, r, "columns"), alpha(work, r) > 0)
            # The oracle's rule, walked through in list order.
            for number, (left, top, a) in enumerate(expected):
                part = np.zeros(size, int)
                part[top : top + a.shape[0], left : left + a.shape[1]] = a
                width_best = np.array([t.h for t in case.targets] + [0])[owner]
                wins = (part > best) | ((part == best) & (part > 0) & (case.targets[number].h > width_best))
                best, owner = np.where(wins, part, best), np.where(wins, number, owner)
            assert np.array_equal(owners(work, index, size, case.targets), owner), (seed, index)
    assert compared >= 10


def rank_of(targets: list[Target], target: Target) -> int:
    order = sorted(range(len(targets)), key=lambda i: (-targets[i].h, i))
    return next(place for place, i in enumerate(order) if targets[i] is target)


def owners(work: worklist.WorkList, index: int, size: tuple[int, int], targets: list[Target]) -> np.ndarray:
    """Who writes each sample, by the rivals' lists; two writers of one sample are an error."""
    by_rank = {rank_of(targets, t): i for i, t in enumerate(targets)}
    out = np.full(size, -1)
    maps = []
    for r in work.regions:
        whole = np.zeros(size, int)
        if work.components[r["component"]].plane and index == 0:
            maps.append(whole)
            continue
        if (size[0] >= r["y"] + r["height"]) and size[1] >= r["x"] + r["width"]:
            whole[r["y"] : r["y"] + r["height"], r["x"] : r["x"] + r["width"]] = alpha(work, r)
        maps.append(whole)
    for number, r in enumerate(work.regions):
        if r["component"] != index:
            continue
        mine = maps[number]
        writes = mine > 0
        for k in work.rivals[r["rivals"] :][: r["rival_count"]]:
            writes &= (maps[k] < mine) | ((maps[k] == mine) & (work.regions[k]["rank"] > r["rank"]))
        assert (out[writes] == -1).all()
        out[writes] = by_rank[r["rank"]]
    return out


@pytest.mark.parametrize("name", ["nv12", "p010le", "yuv422p", "gray"])
def test_tiles_cover_each_region_once_and_scratch_is_not_shared(name: str) -> None:
    rng = np.random.default_rng(1)
    fmt = FORMATS[name]
    targets = [kernel_cases.target(rng, 1900, 700) for _ in range(40)]
    targets.append(Target(0, 0, 1900, 700, h=3))
    work = worklist.build(fmt, 1900, 700, targets, 4, "left", cells=9)
    used = np.zeros(work.scratch, bool)
    for number, r in enumerate(work.regions):
        rows = 8 // int(worklist.warps_per_row(int(r["width"])))
        starts = work.row_tiles[work.row_tiles[:, 0] == number, 1]
        assert starts.tolist() == list(range(0, r["height"], rows))
        assert work.column_tiles[work.column_tiles[:, 0] == number, 1].tolist() == list(range(0, r["width"], 16))
        cells = int(r["cells_x"]) * int(r["cells_y"])
        assert work.cell_tiles[work.cell_tiles[:, 0] == number, 1].tolist() == list(range(0, cells, 8))
        assert r["stride"] >= r["width"]
        assert r["stride"] % 16 == 0
        at = int(r["scratch"]) * 16
        assert not used[at : at + int(r["stride"]) * int(r["height"])].any()
        used[at : at + int(r["stride"]) * int(r["height"])] = True
    assert used.all()
    ends = np.cumsum(work.regions["cells_x"] * work.regions["cells_y"])
    assert work.regions["cells"].tolist() == [0, *ends[:-1].tolist()]
    assert work.cells == ends[-1]


def test_pack_holds_every_table() -> None:
    case = next(c for s in range(99) if len((c := kernel_cases.case("blur", "p010le", s)).targets) > 2)
    work = made(case)
    words = work.pack([1 << 40, 1 << 41], [512, 640])
    header = dict(zip(worklist.HEADER, words.tolist(), strict=False))
    assert (header["depth"], header["shift"], header["region_count"]) == (10, 6, len(work.regions))

    def table(name: str, dtype: object, count: int) -> np.ndarray:
        return words[header[name + "_at"] :].view(np.uint8)[: count * np.dtype(dtype).itemsize].view(dtype)

    assert np.array_equal(table("regions", worklist.REGION, len(work.regions)), work.regions)
    assert np.array_equal(table("row_tiles", "<i4", work.row_tiles.size), work.row_tiles.ravel())
    assert np.array_equal(table("column_tiles", "<i4", work.column_tiles.size), work.column_tiles.ravel())
    assert np.array_equal(table("spans", "<i4", work.spans.size), work.spans.ravel())
    assert np.array_equal(table("rivals", "<i4", work.rivals.size), work.rivals)
    assert np.array_equal(table("alphas", "<u2", work.alphas.size), work.alphas)
    parts = table("components", worklist.COMPONENT, 3)
    assert parts["address"].tolist() == [1 << 40, 1 << 41, (1 << 41) + 2]
    assert parts["pitch"].tolist() == [512, 640, 640]
    assert parts["step"].tolist() == [1, 2, 2]


def test_largest_ellipse_and_no_region_at_all() -> None:
    fmt = FORMATS["gray"]
    limit = 32767
    work = worklist.build(fmt, 33, 7, [Target(-limit, -limit, limit, limit, "ellipse", None, 9)], 0, "left")
    assert (work.spans == [[0, 33]] * 7 + [[0, 7]] * 33).all()
    for targets in ([], [Target(-9, -9, -2, -2, h=1)]):
        work = worklist.build(fmt, 33, 7, targets, 0, "left")
        assert (len(work.regions), work.scratch, len(work.row_tiles), len(work.pack([0], [33]))) == (0, 0, 0, 14 + 6)
