"""Whether small luma can tell where a detector should look once more (see optical.py).

`trigger`: a box between two looks that is wrong, from a search that fails. `alarm`: something that was not there at
either look, from thumbnails.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anonfilter.motion import overlap
from anonfilter.records import Box

motion = importlib.import_module("optical_motion")
optical = importlib.import_module("optical")

Array = NDArray[np.float64]
# Margins beyond which a box between counts as wrong: half and all of the face detector's.
_WRONG = (0.1, 0.15, 0.3)
_HEIGHTS = ((16, 24), (24, 48), (48, 96))
_LIMITS = (4, 8, 12, 16, 24, 32)
_PAST = 8  # gaps whose scores say what is usual in this footage


def trigger(args: argparse.Namespace) -> None:
    """Table: how well each sign tells the gaps with a box that needs more than a margin. beyond: threshold at 10 %."""
    clips: dict[Any, Any] = {}
    print("| k | covered by | wrong if need > | gaps | wrong | sign | ROC area | caught at 5 % false ", end="")
    print("| 10 % | 20 % | beyond |")
    print("| ---: | --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: |")
    for k in args.k:
        rows: list[tuple[dict[str, float], dict[str, float]]] = []
        for gap, found in optical.all_gaps(args, k, clips):
            frames = [n for n in range(gap.a + 1, gap.b) if n in gap.track.truth]
            if not frames:
                continue
            worst = {
                way: max(optical.need(gap.regions[n][way], gap.track.truth[n]) for n in frames)
                for way in ("interp", "interp, hold")
            }
            rows.append((_signs(gap, found), worst))
        for way in ("interp", "interp, hold"):
            for limit in _WRONG:
                wrong = np.array([worst[way] > limit for _, worst in rows])
                if not wrong.any() or wrong.all():
                    print(f"| {k} | {way} | {limit} | {len(rows)} | {wrong.sum()} | - | - | - | - | - | - |")
                    continue
                for sign in rows[0][0]:
                    values = np.array([signs[sign] for signs, _ in rows])
                    caught = " | ".join(f"{at(values, wrong, share):.2f}" for share in (0.05, 0.1, 0.2))
                    print(
                        f"| {k} | {way} | {limit} | {len(rows)} | {wrong.sum()} | {sign} | {area(values, wrong):.3f} "
                        f"| {caught} | {np.quantile(values[~wrong], 0.9):.2f} |",
                        flush=True,
                    )


def _signs(gap: Any, found: Any) -> dict[str, float]:
    """Signs that a gap's boxes are wrong, larger is worse. The last two need no pixels."""
    n = (gap.a + gap.b) // 2
    x0, y0, x1, y1 = gap.guess[n]
    side = (x1 - x0 + y1 - y0) / 2
    place = found[n].centre
    away = 1.0 if place is None else float(np.hypot(place[0] - (x0 + x1) / 2, place[1] - (y0 + y1) / 2)) / side
    first, last = gap.guess[gap.a], gap.guess[gap.b]
    ends = [np.array([(b[0] + b[2]) / 2, (b[1] + b[3]) / 2]) for b in (first, last)]
    return {
        "correlation half way, worse look": -min(found[n].at),
        "correlation half way, better look": -max(found[n].at),
        "search moved or failed half way": away,
        "1 - IoU of the looks": 1 - overlap(first, last),
        "way between the looks": float(np.hypot(*(ends[1] - ends[0]))) / side,
    }


def area(values: Array, wrong: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: how often a wrong one has the larger value, ties half."""
    bad, good = values[wrong][:, None], values[~wrong][None]
    return float((bad > good).mean() + (bad == good).mean() / 2)


def at(values: Array, wrong: NDArray[np.bool_], false: float) -> float:
    """Share of the wrong ones that is caught by the threshold which that share of the good ones passes."""
    return float((values[wrong] > np.quantile(values[~wrong], 1 - false)).mean())


@dataclass
class Pop:
    """A face that shows on some frames only: first frame, boxes."""

    height: float
    boxes: list[Box]
    start: int


def faces(args: argparse.Namespace) -> list[NDArray[np.uint8]]:
    """Luma of one whole face of each true object at least 40 high, from the clips."""
    out = []
    for path in args.clips:
        tracks, _ = optical.load(path, None, "truth")
        clip = motion.read(path, vectors=False)
        height, width = clip.luma[0].shape
        for track in tracks:
            whole = [n for n, b in track.truth.items() if min(b) > 2 and b[2] < width - 2 and b[3] < height - 2]
            n = max(whole, key=lambda m: track.truth[m][3] - track.truth[m][1], default=None)
            if n is None or track.cls != "face" or track.truth[n][3] - track.truth[n][1] < 40:
                continue
            x0, y0, x1, y1 = (round(v) for v in track.truth[n])
            out.append(clip.luma[n][y0:y1, x0:x1])
    return out


def insert(plane: NDArray[np.uint8], face: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    """The frame with a face in an ellipse of the box, soft at its edge; sampled by area means."""
    out = plane.astype(np.float64)
    x0, y0, x1, y1 = (round(v) for v in box)
    w, h = x1 - x0, y1 - y0
    small = motion.patch(motion.integral(face), (0, 0, face.shape[1], face.shape[0]), (h, w))
    y, x = np.mgrid[0:h, 0:w]
    radius = np.hypot((2 * x + 1) / w - 1, (2 * y + 1) / h - 1)
    alpha = np.clip((1 - radius) * min(w, h) / 4 + 0.5, 0, 1)
    out[y0:y1, x0:x1] += alpha * (small - out[y0:y1, x0:x1])
    return np.round(out).astype(np.uint8)


def thumbnail(plane: NDArray[np.uint8], shape: tuple[int, int]) -> Array:
    """Area means of so many rows and columns."""
    out: Array = motion.patch(motion.integral(plane), (0, 0, plane.shape[1], plane.shape[0]), shape)
    return out


def difference(now: Array, before: Array, after: Array, share: float) -> dict[str, Array]:
    """Maps of what is new. plain: against the blended neighbours, without the frame's common change. tolerant: beyond
    what either neighbour shows within one cell, so that what moves by a cell is not new."""
    plain = now - ((1 - share) * before + share * after)
    plain = np.abs(plain - np.median(plain))
    low = np.minimum(*(_around(t, np.minimum) for t in (before, after)))
    high = np.maximum(*(_around(t, np.maximum) for t in (before, after)))
    return {"plain": plain, "tolerant": np.maximum(0, np.maximum(low - now, now - high))}


def _around(values: Array, pick: Any) -> Array:
    """The least or largest of 3 x 3 cells."""
    padded = np.pad(values, 1, mode="edge")
    rows = pick(pick(padded[:-2], padded[1:-1]), padded[2:])
    out: Array = pick(pick(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])
    return out


def score(change: Array, known: NDArray[np.bool_]) -> float:
    """Largest mean of 2 x 2 cells outside of known boxes."""
    free = np.where(known, 0, change)
    return float((free[:-1, :-1] + free[1:, :-1] + free[:-1, 1:] + free[1:, 1:]).max() / 4)


def known_cells(boxes: Sequence[Box], size: tuple[int, int], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Cells of a thumbnail of that shape that a known box touches, and one more around."""
    out = np.zeros(shape, bool)
    sy, sx = (cells / side for cells, side in zip(shape, size, strict=True))
    for x0, y0, x1, y1 in boxes:
        rows = slice(max(0, int(y0 * sy) - 1), max(0, int(y1 * sy) + 2))
        out[rows, max(0, int(x0 * sx) - 1) : max(0, int(x1 * sx) + 2)] = True
    return out


def _pop(rng: np.random.Generator, a: int, k: int, size: tuple[int, int], taken: Sequence[Box]) -> Pop | None:
    """A face at a free place, for 3 frames or more between the looks, standing or moving up to 3 samples a frame."""
    high = float(np.exp(rng.uniform(np.log(16), np.log(96))))
    frames = int(rng.integers(3, k - 1))
    start = int(rng.integers(a + 1, a + k - frames + 1))
    way = rng.uniform(-3, 3, 2) * rng.integers(0, 2)
    w, h = 0.8 * high, high
    room = np.abs(way) * frames + 2
    for _ in range(50):
        x, y = (float(rng.uniform(r, s - side - r)) for r, s, side in zip(room, size[::-1], (w, h), strict=True))
        boxes = [(x + i * way[0], y + i * way[1], x + w + i * way[0], y + h + i * way[1]) for i in range(frames)]
        if not any(overlap(b, t) > 0 for b in (boxes[0], boxes[-1]) for t in taken):
            return Pop(high, boxes, start)
    return None


@dataclass(frozen=True)
class _Trial:
    """One gap, without a pop (height None) or with one. scores: largest change by way. hits: whether the frame of the
    largest change shows the pop. half: whether the frame half way does."""

    clip: str
    seconds: float
    scores: dict[str, float]
    height: float | None = None
    hits: dict[str, bool] | None = None
    half: bool = False


def _trials(args: argparse.Namespace, k: int, pool: list[NDArray[np.uint8]]) -> Iterator[_Trial]:
    """Each gap without a cut, once as it is and once with a pop."""
    for path in args.clips:
        clip = motion.read(path, vectors=False)
        tracks, cuts = optical.load(path, None, "truth")
        rng = np.random.default_rng(1)
        shape = (args.thumb * 9 // 16, args.thumb)
        thumbs = [thumbnail(plane, shape) for plane in clip.luma]
        size = clip.luma[0].shape
        past: dict[str, list[float]] = {"plain": [], "tolerant": []}
        for a in range(0, len(clip.luma) - k, k):
            if any(a < cut <= a + k for cut in cuts):
                continue  # scene looks there anyway
            taken = [t.truth[n] for t in tracks for n in range(a, a + k + 1) if n in t.truth]
            # The looks' objects are known, at the looks and between.
            seen = [t for t in tracks if a in t.truth or a + k in t.truth]
            known = known_cells([b for t in seen for n, b in t.truth.items() if a <= n <= a + k], size, shape)
            usual = {f"{name}, against the usual": 2 + float(np.median(v[-_PAST:] or [0])) for name, v in past.items()}
            face, pop = pool[int(rng.integers(len(pool)))], _pop(rng, a, k, size, taken)
            for item in (None, pop) if pop else (None,):
                shown = {item.start + i: box for i, box in enumerate(item.boxes)} if item else {}
                best: dict[str, tuple[float, int]] = {}
                for n in range(a + 1, a + k):
                    now = thumbnail(insert(clip.luma[n], face, shown[n]), shape) if n in shown else thumbs[n]
                    for name, change in difference(now, thumbs[a], thumbs[a + k], (n - a) / k).items():
                        best[name] = max(best.get(name, (-1.0, 0)), (score(change, known), n))
                for name, value in usual.items():
                    largest, n = best[name.split(",")[0]]
                    best[name] = largest / value, n
                scores = {name: value for name, (value, _) in best.items()}
                if item is None:
                    for name, values in past.items():
                        values.append(scores[name])
                    yield _Trial(path.stem, k / clip.rate, scores)
                else:
                    hits = {name: n in shown for name, (_, n) in best.items()}
                    yield _Trial(path.stem, k / clip.rate, scores, item.height, hits, a + k // 2 in shown)


def alarm(args: argparse.Namespace) -> None:
    """Tables: share of the faces that show between two looks only that one look at the frame of the largest change
    would meet, against false alarms."""
    pool = faces(args)
    print(f"{len(pool)} faces, one in a gap, 3 frames or longer, 16 to 96 high; seed 1; thumbnails {args.thumb} wide\n")
    heights = " | ".join(f"{low}-{high}" for low, high in _HEIGHTS)
    trials = {k: list(_trials(args, k, pool)) for k in args.k}
    print(f"| k | way | false alarms a minute | in gaps | caught | {heights} |")
    print("| ---: | --- | ---: | ---: | ---: |" + " ---: |" * len(_HEIGHTS))
    for k, rows in trials.items():
        quiet, loud = [r for r in rows if r.height is None], [r for r in rows if r.height is not None]
        minutes = sum(r.seconds for r in quiet) / 60
        half = _shares([r.half for r in loud], loud)
        print(f"| {k} | a look half way | {len(quiet) / minutes:.1f} | 1.00 | {half} |")
        for way in quiet[0].scores:
            values = np.sort([r.scores[way] for r in quiet])[::-1]
            for rate in (1, 3, 10, 20):
                allowed = min(int(rate * minutes), len(values) - 1)
                caught = _shares(_caught(loud, way, values[allowed]), loud)
                print(f"| {k} | {way} | {allowed / minutes:.1f} | {allowed / len(quiet):.2f} | {caught} |")
    print("\n`tolerant`, by threshold in luma steps: share of the gaps with a false alarm / caught\n")
    print("| k | clip | gaps |" + "".join(f" {limit} |" for limit in _LIMITS))
    print("| ---: | --- | ---: |" + " ---: |" * len(_LIMITS))
    for k, rows in trials.items():
        for name in dict.fromkeys(r.clip for r in rows):
            quiet = [r for r in rows if r.clip == name and r.height is None]
            loud = [r for r in rows if r.clip == name and r.height is not None]
            cells = [
                f"{np.mean([r.scores['tolerant'] > limit for r in quiet]):.2f} / "
                f"{np.mean(_caught(loud, 'tolerant', limit)) if loud else np.nan:.2f}"
                for limit in _LIMITS
            ]
            print(f"| {k} | {name} | {len(quiet)} | {' | '.join(cells)} |")


def _caught(loud: Sequence[_Trial], way: str, limit: float) -> list[bool]:
    return [r.scores[way] > limit and r.hits is not None and r.hits[way] for r in loud]


def _shares(caught: Sequence[bool], loud: Sequence[_Trial]) -> str:
    """Cells of a table: all, and by height."""
    right, high = np.array(caught), np.array([r.height for r in loud], float)
    parts = [right, *(right[(high >= low) & (high < top)] for low, top in _HEIGHTS)]
    return " | ".join(f"{part.mean():.2f}" if len(part) else "-" for part in parts)
