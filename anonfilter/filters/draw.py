"""draw: outlines of regions with class, score and track id, for looking at what was found. It covers nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from anonfilter.colour import yuv
from anonfilter.filter import Env, PixelWriter
from anonfilter.filters.painter import CLASSES
from anonfilter.frame import Frame
from anonfilter.options import Option
from anonfilter.records import FrameRecord, Region

# One colour a source, so that what was seen and what was inferred can be told apart.
_COLOURS = {
    "det": (0, 255, 0),
    "interp": (255, 220, 0),
    "grow": (255, 128, 0),
    "zone": (0, 160, 255),
    "manual": (255, 0, 255),
}
_DELETED = (128, 128, 128)
_SCALE = 2

# 5 x 7 glyphs, a column a byte, lowest bit on top.
_FONT = {
    " ": "0000000000", "#": "147f147f14", "-": "0808080808", ".": "0060600000", "%": "2313086462",
    "/": "2010080402", ":": "0036360000", "_": "4040404040", "?": "0201510906", "+": "08083e0808",
    "0": "3e5149453e", "1": "00427f4000", "2": "4261514946", "3": "2141454b31", "4": "1814127f10",
    "5": "2745454539", "6": "3c4a494930", "7": "0171090503", "8": "3649494936", "9": "064949291e",
    "a": "2054545478", "b": "7f48444438", "c": "3844444420", "d": "384444487f", "e": "3854545418",
    "f": "087e090102", "g": "0c5252523e", "h": "7f08040478", "i": "00447d4000", "j": "2040443d00",
    "k": "7f10284400", "l": "00417f4000", "m": "7c04180478", "n": "7c08040478", "o": "3844444438",
    "p": "7c14141408", "q": "081414187c", "r": "7c08040408", "s": "4854545420", "t": "043f444020",
    "u": "3c4040207c", "v": "1c2040201c", "w": "3c4030403c", "x": "4428102844", "y": "0c5050503c",
    "z": "4464544c44",
}  # fmt: skip


def text_bitmap(text: str, scale: int = _SCALE) -> npt.NDArray[np.bool_]:
    """Text as a (9 * scale, (6 * length + 1) * scale) boolean array; unknown characters become '?'."""
    cells = np.zeros((9, 6 * len(text) + 1), bool)
    for i, char in enumerate(text.lower()):
        columns = np.frombuffer(bytes.fromhex(_FONT.get(char, _FONT["?"])), np.uint8)
        bits = np.unpackbits(columns[:, None], axis=1, bitorder="little")[:, :7]
        cells[1:8, 6 * i + 1 : 6 * i + 6] = bits.T
    return np.kron(cells, np.ones((scale, scale), bool)).astype(bool)


class Draw(PixelWriter):
    """Outline colours: green detected, yellow interpolated, orange grown, blue zone, magenta by hand, grey deleted."""

    name = "draw"
    covers = False
    help = "Draw boxes, classes, scores and track ids; for looking, it hides nothing."
    options = (
        Option("thickness", "int", 2, "width of the outline", min=1, max=32, unit="luma samples"),
        Option("text", "bool", True, "write class, score and track id beside the box"),
        CLASSES,
    )

    def open(self, env: Env) -> None:
        """Convert the colours once."""
        super().open(env)
        self._yuv = {src: yuv(rgb, env.stream) for src, rgb in _COLOURS.items()}
        self._deleted = yuv(_DELETED, env.stream)
        self._black, self._white = yuv((0, 0, 0), env.stream), yuv((255, 255, 255), env.stream)

    def select(self, record: FrameRecord) -> Sequence[Region]:
        """All regions of the wanted classes, also those removed by hand."""
        wanted = self.opts["classes"]
        return [r for r in record.regions if not wanted or r.cls in wanted]

    def render(self, frame: Frame, regions: Sequence[Region]) -> None:
        """Draw every region."""
        for region in regions:
            self._box(frame, region)
        if self.opts["text"]:
            for region in regions:
                self._text(frame, region)

    def _box(self, frame: Frame, region: Region) -> None:
        colour = self._deleted if region.deleted else self._yuv[region.src]
        x0, y0 = math.floor(region.box[0]), math.floor(region.box[1])
        x1, y1 = math.ceil(region.box[2]), math.ceil(region.box[3])
        width = min(self.opts["thickness"], max(1, (x1 - x0) // 2), max(1, (y1 - y0) // 2))
        for edge in (
            (x0, y0, x1, y0 + width),
            (x0, y1 - width, x1, y1),
            (x0, y0, x0 + width, y1),
            (x1 - width, y0, x1, y1),
        ):
            _rect(frame, edge, colour)

    def _text(self, frame: Frame, region: Region) -> None:
        label = region.cls + (f" {region.score:.2f}" if region.src in ("det", "interp") else "")
        if region.track is not None:
            label += f" #{region.track}"
        glyphs = text_bitmap(label)
        height, width = glyphs.shape
        frame_width, frame_height = frame.size
        x = min(max(0, math.floor(region.box[0])), max(0, frame_width - width))
        y = math.floor(region.box[1]) - height
        if y < 0:
            y = min(max(0, math.ceil(region.box[3])), max(0, frame_height - height))
        _rect(frame, (x, y, x + width, y + height), self._black)
        luma, fmt = frame.planes()[0], frame.fmt
        part = luma[y : y + height, x : x + width]
        part[glyphs[: part.shape[0], : part.shape[1]]] = _code(self._white[0], fmt.depth, fmt.shift)


def _code(value: int, depth: int, shift: int) -> int:
    return value << (depth - 8) << shift


def _rect(frame: Frame, box: tuple[int, int, int, int], colour: tuple[int, int, int]) -> None:
    fmt, planes = frame.fmt, frame.planes()
    width, height = frame.size
    x0, y0, x1, y1 = max(0, box[0]), max(0, box[1]), min(width, box[2]), min(height, box[3])
    if x0 >= x1 or y0 >= y1:
        return
    y, u, v = (_code(value, fmt.depth, fmt.shift) for value in colour)
    planes[0][y0:y1, x0:x1] = y
    if not fmt.chroma:
        return
    rows = slice(y0 >> fmt.log2_h, -(-y1 >> fmt.log2_h))
    columns = slice(x0 >> fmt.log2_w, -(-x1 >> fmt.log2_w))
    if fmt.interleaved:
        planes[1][rows, columns] = (u, v)
    else:
        planes[1][rows, columns] = u
        planes[2][rows, columns] = v


FILTER = Draw
