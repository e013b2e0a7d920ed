"""Can an OCR net still read the plate? It must in INPUT, and must not in OUTPUT.

    pip install -e '.[bench]'
    python bench/plate_ocr.py --truth bench/truth/plate-uk-720p.json --input IN.mp4 \\
        [--output OUT.mp4] [--require]

On every frame the net looks twice around the truth box: its recogniser alone reads the box grown by a
tenth, scaled to 96 rows; its detector and recogniser together search the neighbourhood (a plate's width to
each side, two heights up and down), scaled up twice. Texts are compared without spaces and signs, and with
I as 1 and O as 0, which are the same glyphs on these plates. The plate's own text is what the most input
frames read.

INPUT: the share of frames with exactly that text (within the neighbourhood's text, for the second look).
OUTPUT: the most characters of it, in order (longest common subsequence, so gaps are allowed), in any text
of any frame. --require fails under 0.9 of the input's frames or over 2 characters of the output's.

rapidocr 3.10 carries its nets in the wheel (PP-OCRv6 small), so this runs offline.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Box = tuple[float, float, float, float]
Reader = Callable[[Picture, Box], list[str]]

INPUT_SHARE, OUTPUT_CHARACTERS = 0.9, 2


def plain(text: str) -> str:
    """Letters and digits only, upper case, I as 1 and O as 0."""
    kept = "".join(c for c in text.upper() if c.isascii() and c.isalnum())
    return kept.replace("I", "1").replace("O", "0")


def common(a: str, b: str) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for c in a:
        previous = 0
        for j, d in enumerate(b, 1):
            previous, row[j] = row[j], previous + 1 if c == d else max(row[j], row[j - 1])
    return row[-1]


def majority(texts: Sequence[Sequence[str]]) -> str:
    """The first look's commonest text of at least 4 characters."""
    count = Counter(frame[0] for frame in texts if frame and len(frame[0]) >= 4)
    if not count:
        sys.exit("no plate text found in the input; check --truth and --track")
    return count.most_common(1)[0][0]


def crop(picture: Picture, box: Sequence[float], grow_x: float, grow_y: float) -> Picture:
    """The box, grown by shares of its height, clipped to the picture."""
    x0, y0, x1, y1 = box
    h = y1 - y0
    rows = slice(max(0, int(y0 - grow_y * h)), int(y1 + grow_y * h) + 1)
    columns = slice(max(0, int(x0 - grow_x * h)), int(x1 + grow_x * h) + 1)
    return picture[rows, columns]


def scaled(picture: Picture, factor: float) -> Picture:
    """Resized by bicubic interpolation."""
    from PIL import Image

    size = max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


def make_reader() -> Reader:
    """A function from a BGR picture and a box to the texts of both looks, the recogniser's first."""
    logging.disable(logging.INFO)
    from rapidocr import RapidOCR

    engine: Any = RapidOCR()

    def read(picture: Picture, box: Box) -> list[str]:
        near = crop(picture, box, 0.1, 0.1)
        first = engine(scaled(near, 96 / near.shape[0]), use_det=False, use_cls=False, use_rec=True)
        wide = scaled(crop(picture, box, (box[2] - box[0]) / (box[3] - box[1]), 2), 2)
        # Every text counts, whatever the net's own confidence in it.
        second = engine(wide, use_det=True, use_cls=False, use_rec=True, text_score=0.0, box_thresh=0.3)
        return [plain(t) for t in [*(first.txts or [""]), *(getattr(second, "txts", None) or [])]]

    return read


def pictures(path: Path) -> Iterator[Picture]:
    """Frames as (h, w, 3) BGR."""
    import av

    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)


def texts_of(path: Path, boxes: dict[int, Box], read: Reader) -> dict[int, list[str]]:
    """What is read on each frame that has a box."""
    out = {n: read(picture, boxes[n]) for n, picture in enumerate(pictures(path)) if n in boxes}
    if len(out) != len(boxes):
        sys.exit(f"{path}: has {len(out)} of the truth's {len(boxes)} frames")
    return out


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; 1 where --require is not met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--track", type=int, default=1, help="the plate's id in the truth")
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--require", action="store_true", help="fail where the targets are missed")
    parser.add_argument("--list", action="store_true", help="print the texts of every frame")
    args = parser.parse_args(argv)
    objects = {item["id"]: item["boxes"] for item in json.loads(args.truth.read_text())["objects"]}
    if args.track not in objects:
        parser.error(f"--track {args.track}: the truth has {sorted(objects)}")
    boxes = {int(n): tuple(box) for n, box in objects[args.track].items()}
    read = make_reader()
    clear = texts_of(args.input, boxes, read)
    plate = majority(list(clear.values()))
    good = [n for n, found in clear.items() if found[0] == plate or any(plate in t for t in found[1:])]
    share = len(good) / len(boxes)
    alone = sum(found[0] == plate for found in clear.values()) / len(boxes)
    print(f"input: {plate} in {len(good)} of {len(boxes)} frames ({share:.3f}; the crop alone {alone:.3f})")
    failed = share < INPUT_SHARE
    shown = [("input", clear)]
    if args.output:
        hidden = texts_of(args.output, boxes, read)
        shown.append(("output", hidden))
        worst = {n: max(found, key=lambda t: common(t, plate)) for n, found in hidden.items()}
        scores = {n: common(t, plate) for n, t in worst.items()}
        top = max(scores, key=lambda n: scores[n])
        failed |= scores[top] > OUTPUT_CHARACTERS
        histogram = ", ".join(f"{k}: {v}" for k, v in sorted(Counter(scores.values()).items()))
        print(f"output: at most {scores[top]} characters, in frame {top} as {worst[top]!r}")
        print(f"  frames by characters: {histogram}")
        for n in sorted(n for n in scores if scores[n] > OUTPUT_CHARACTERS):
            print(f"  frame {n}: {scores[n]} characters as {worst[n]!r}")
    if args.list:
        for name, texts in shown:
            for n, found in texts.items():
                print(f"{name} {n}: {' | '.join(found)}")
    return int(args.require and failed)


if __name__ == "__main__":
    sys.exit(main())
