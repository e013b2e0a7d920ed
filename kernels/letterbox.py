"""Where a detector's tensor lies on the coded frame: letterbox, crop and display rotation, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# Kr and Kb of each matrix: BT.709-6, BT.601-7, BT.2020-2 (non-constant luminance).
_LUMA = {"bt709": (0.2126, 0.0722), "bt601": (0.299, 0.114), "bt2020": (0.2627, 0.0593)}
MATRICES = (*_LUMA, "gbr")
"""What the kernels know: YUV matrices, and "gbr" for planes that are G, B and R."""


@dataclass(frozen=True, slots=True)
class Letterbox:
    """The affine map between a tensor and the coded frame. Coordinates are continuous: sample i covers [i, i+1).

    width, height: coded size, in luma samples, of the area that was looked at; x0, y0: its corner in the coded
    frame. rotation: clockwise degrees that bring it upright; hflip: mirrored after the turn. size: (W, H) of the
    tensor. scale = numerator / denominator: tensor samples per luma sample, the same on both axes. pad_x, pad_y:
    tensor samples left of and above the picture; inner: (w, h) of the picture in the tensor.
    """

    size: tuple[int, int]
    width: int
    height: int
    x0: int
    y0: int
    rotation: int
    hflip: bool
    numerator: int
    denominator: int
    pad_x: int
    pad_y: int
    inner: tuple[int, int]

    @classmethod
    def fit(
        cls,
        area: tuple[int, int, int, int],
        size: tuple[int, int],
        rotation: int = 0,
        hflip: bool = False,
        room: tuple[int, int] | None = None,
    ) -> Letterbox:
        """The largest picture of the coded area (x0, y0, x1, y1) that fits `room` (W, H; default: size), centred in
        `size`.

        The scale stays an exact fraction; the last row or column of the picture may be partly beyond the area
        rather than a part of the area left out.
        """
        x0, y0, x1, y1 = area
        width, height = x1 - x0, y1 - y0
        across, down = (height, width) if rotation in (90, 270) else (width, height)
        room = size if room is None else room
        if room[0] * down <= room[1] * across:
            numerator, denominator = room[0], across
        else:
            numerator, denominator = room[1], down
        inner = min(room[0], -(-across * numerator // denominator)), min(room[1], -(-down * numerator // denominator))
        pad_x, pad_y = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
        return cls(
            size, width, height, x0, y0, rotation, hflip, numerator, denominator, pad_x, pad_y, inner
        )

    @property
    def scale(self) -> float:
        """Tensor samples per luma sample."""
        return self.numerator / self.denominator

    @property
    def swap(self) -> bool:
        """Whether the tensor's x runs along the coded y."""
        return self.rotation in (90, 270)

    @property
    def reverse_x(self) -> bool:
        """Whether the coded x runs against its tensor axis."""
        return self.rotation in (180, 270) if self.swap else (self.rotation == 180) != self.hflip

    @property
    def reverse_y(self) -> bool:
        """Whether the coded y runs against its tensor axis."""
        return (self.rotation == 90) != self.hflip if self.swap else self.rotation == 180

    def to_frame(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Tensor coordinates (N, 2) as x, y to luma samples of the coded frame; not clipped to it."""
        given = np.asarray(points, np.float64).reshape(-1, 2)
        along = (given - (self.pad_x, self.pad_y)) * (self.denominator / self.numerator)
        if self.swap:
            along = along[:, ::-1]
        x, y = along[:, 0], along[:, 1]
        x = self.width - x if self.reverse_x else x
        y = self.height - y if self.reverse_y else y
        return np.stack([x + self.x0, y + self.y0], axis=1)

    def to_tensor(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Luma samples of the coded frame (N, 2) as x, y to tensor coordinates: the inverse of to_frame."""
        given = np.asarray(points, np.float64).reshape(-1, 2) - (self.x0, self.y0)
        x, y = given[:, 0], given[:, 1]
        x = self.width - x if self.reverse_x else x
        y = self.height - y if self.reverse_y else y
        along = np.stack([y, x] if self.swap else [x, y], axis=1)
        return along * (self.numerator / self.denominator) + (self.pad_x, self.pad_y)


def rgb_matrix(matrix: str, full_range: bool, depth: int, chroma: bool, bgr: bool) -> npt.NDArray[np.float64]:
    """(3, 4): RGB (or BGR) in 0..255 = columns 0..2 times the codes Y, U, V of `depth` bits, plus column 3.

    From Kr and Kb as in ITU-T H.273, 8.3. Without chroma all rows are the luma's. "gbr": the codes are G, B, R of full
    range.
    """
    if matrix == "gbr":
        rows = np.zeros((3, 4))
        rows[[0, 1, 2], [2, 0, 1]] = 255 / ((1 << depth) - 1)
        return rows[::-1].copy() if bgr else rows
    kr, kb = _LUMA[matrix]
    kg = 1 - kr - kb
    unit = 1 << (depth - 8)
    if full_range:
        y_gain, y_zero = 255 / ((1 << depth) - 1), 0
        c_gain = y_gain
    else:
        y_gain, y_zero = 255 / (219 * unit), 16 * unit
        c_gain = 255 / (224 * unit)
    c_zero = 128 * unit
    if not chroma:
        return np.tile(np.array([y_gain, 0.0, 0.0, -y_gain * y_zero]), (3, 1))
    u = np.array([0.0, -2 * kb * (1 - kb) / kg, 2 * (1 - kb)]) * c_gain
    v = np.array([2 * (1 - kr), -2 * kr * (1 - kr) / kg, 0.0]) * c_gain
    out = np.stack([np.full(3, y_gain), u, v, -y_gain * y_zero - (u + v) * c_zero], axis=1)
    return out[::-1].copy() if bgr else out
