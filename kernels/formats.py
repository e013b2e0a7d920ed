"""Pixel formats that the kernels edit in place: layout of the planes, depth and subsampling."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PixFmt:
    """Layout of a planar or semi-planar YUV, RGB or grey format.

    name: libavutil's name. depth: significant bits of a sample. shift: position of the least significant
    bit in its word (P010 keeps its 10 bits at the top: 6). log2_w, log2_h: chroma subsampling.
    interleaved: chroma is one plane of U, V pairs (NV12, P010). chroma: False for grey. rgb: the planes are G, B and R,
    all of one size; what is said of luma and chroma holds for them in this order. alpha: one more plane of luma's size
    comes last, which is none of `planes`.
    """

    name: str
    depth: int
    log2_w: int
    log2_h: int
    interleaved: bool = False
    shift: int = 0
    chroma: bool = True
    rgb: bool = False
    alpha: bool = False

    @property
    def itemsize(self) -> int:
        """Bytes of a stored sample: 1 or 2 (little endian)."""
        return 1 if self.depth <= 8 else 2

    @property
    def planes(self) -> int:
        """Number of planes of colour in memory."""
        if not self.chroma:
            return 1
        return 2 if self.interleaved else 3

    def chroma_size(self, width: int, height: int) -> tuple[int, int]:
        """Chroma plane size in samples (width, height), rounded up as libavutil does."""
        return -(-width >> self.log2_w), -(-height >> self.log2_h)

    def frame_bytes(self, width: int, height: int) -> int:
        """Bytes of one frame without row padding."""
        size = width * height
        if self.chroma:
            cw, ch = self.chroma_size(width, height)
            size += 2 * cw * ch
        size += width * height * self.alpha
        return size * self.itemsize


def _table(*rows: PixFmt) -> dict[str, PixFmt]:
    return {row.name: row for row in rows}


FORMATS: dict[str, PixFmt] = _table(
    PixFmt("yuv420p", 8, 1, 1),
    PixFmt("yuvj420p", 8, 1, 1),
    PixFmt("nv12", 8, 1, 1, interleaved=True),
    PixFmt("yuv422p", 8, 1, 0),
    PixFmt("yuvj422p", 8, 1, 0),
    PixFmt("yuv444p", 8, 0, 0),
    PixFmt("yuvj444p", 8, 0, 0),
    PixFmt("gray", 8, 0, 0, chroma=False),
    PixFmt("yuv420p10le", 10, 1, 1),
    PixFmt("p010le", 10, 1, 1, interleaved=True, shift=6),
    PixFmt("yuv422p10le", 10, 1, 0),
    PixFmt("yuv444p10le", 10, 0, 0),
    PixFmt("gray10le", 10, 0, 0, chroma=False),
    PixFmt("yuv420p12le", 12, 1, 1),
    PixFmt("yuv422p12le", 12, 1, 0),
    PixFmt("yuv444p12le", 12, 0, 0),
    PixFmt("gray12le", 12, 0, 0, chroma=False),
    PixFmt("yuv440p", 8, 0, 1),
    PixFmt("yuvj440p", 8, 0, 1),
    PixFmt("yuva420p", 8, 1, 1, alpha=True),
    PixFmt("gbrp", 8, 0, 0, rgb=True),
    PixFmt("gbrap", 8, 0, 0, rgb=True, alpha=True),
    PixFmt("gray16le", 16, 0, 0, chroma=False),
    PixFmt("gbrp16le", 16, 0, 0, rgb=True),
)
