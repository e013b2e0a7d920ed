"""Colour matrices and ranges: which one a stream uses, and RGB to YUV for a single colour."""

from __future__ import annotations

from anonfilter.frame import StreamInfo

# Kr, Kb of ITU-T H.273.
COEFFICIENTS: dict[str, tuple[float, float]] = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
}
# libavutil's AVColorSpace.
_SPACES = {1: "bt709", 5: "bt601", 6: "bt601", 9: "bt2020", 10: "bt2020"}
_JPEG = 2


def matrix(stream: StreamInfo) -> str:
    """Name of the stream's YUV matrix; where it is untagged, bt709 from 720 lines on, as players guess."""
    return _SPACES.get(stream.color_space, "bt709" if min(stream.display_size) >= 720 else "bt601")


def full_range(stream: StreamInfo) -> bool:
    """Whether luma uses all codes (0..255 in 8 bits)."""
    return stream.color_range == _JPEG or stream.pix_fmt.startswith("yuvj")


def yuv(rgb: tuple[int, int, int], stream: StreamInfo) -> tuple[int, int, int]:
    """Y, U, V as 8-bit codes of an 8-bit R, G, B colour in the stream's matrix and range (ITU-T H.273); of a format
    whose planes are G, B, R those."""
    if stream.pix_fmt.startswith("gbr"):
        return rgb[1], rgb[2], rgb[0]
    kr, kb = COEFFICIENTS[matrix(stream)]
    r, g, b = (v / 255 for v in rgb)
    y = kr * r + (1 - kr - kb) * g + kb * b
    u, v = (b - y) / (2 * (1 - kb)), (r - y) / (2 * (1 - kr))
    if full_range(stream):
        codes = (255 * y, 255 * u + 128, 255 * v + 128)
    else:
        codes = (219 * y + 16, 224 * u + 128, 224 * v + 128)
    a, b_, c = (min(255, max(0, int(code + 0.5))) for code in codes)
    return a, b_, c
