"""The detector's tensor in Triton: resized, turned, padded, RGB, normalised, planar, float32 or float16; one launch.

kernels/taps.py makes the tables. Samples are integers up to the last step, as on the CPU: the weighted rows have 16
bits, their weighted sum 30. The last step is float32 without contraction (triton_variants.OPTIONS), in the order of
kernels/ref_letterbox.py's tolerance.

Importing this imports Triton, which decides then whether its interpreter runs the kernel (TRITON_INTERPRET=1).
"""

from __future__ import annotations

import triton
import triton.language as tl

from anonfilter.kernels import taps
from anonfilter.kernels.triton_variants import Variant
from anonfilter.kernels.worklist import COMPONENT, THREADS

TENSOR_WIDTH, TENSOR_HEIGHT, ACROSS, DOWN, PAD_X, PAD_Y, SWAP = (
    tl.constexpr(taps.HEADER.index(name))
    for name in ("tensor_width", "tensor_height", "across", "down", "pad_x", "pad_y", "swap")
)
HALF, CHANNELS, SHIFT, DEPTH, COMPONENTS_AT, AFFINE_AT, AXES_AT = (
    tl.constexpr(taps.HEADER.index(name))
    for name in ("half", "channels", "shift", "depth", "components_at", "affine_at", "axes_at")
)
PART, AXIS = tl.constexpr(COMPONENT.itemsize // 4), tl.constexpr(taps.AXIS.itemsize // 4)
AFFINE = tl.constexpr(7)


@triton.jit
def _resized(words, c, i, j, inside, WORD: tl.constexpr):
    """Weighted sum of component c's samples for column i and row j of the upright picture: below 2^30."""
    part = words + tl.load(words + COMPONENTS_AT) + c * PART
    address = tl.load(part.to(tl.pointer_type(tl.int64), bitcast=True))
    pitch, step = tl.load(part + 2).to(tl.int64) // WORD, tl.load(part + 3)
    if WORD == 1:
        plane = address.to(tl.pointer_type(tl.uint8))
    else:
        plane = address.to(tl.pointer_type(tl.uint16))
    shift, top = tl.load(words + SHIFT), (1 << tl.load(words + DEPTH)) - 1
    across = words + tl.load(words + AXES_AT) + tl.minimum(c, 1) * 2 * AXIS
    down = across + AXIS
    width, height = tl.load(across + 2), tl.load(down + 2)
    x = tl.load(words + tl.load(across) + i, mask=inside, other=0)
    y = tl.load(words + tl.load(down) + j, mask=inside, other=0)
    by_x, by_y = words + tl.load(across + 1) + i * width, words + tl.load(down + 1) + j * height
    total = i * 0
    for k in range(0, width):
        weight_x = tl.load(by_x + k, mask=inside, other=0)
        column = i * 0
        for n in range(0, height):
            weight = tl.load(by_y + n, mask=inside, other=0)
            # A sample of weight 0 may lie outside of the plane.
            counts = (weight_x != 0) & (weight != 0)
            word = tl.load(plane + (y + n) * pitch + (x + k) * step, mask=counts, other=0).to(tl.int32)
            column += weight * ((word >> shift) & top)
        total += weight_x * column
    return total.to(tl.float32)


@triton.jit
def letterbox(words_address, _source, target_address, WORD: tl.constexpr, BLOCK: tl.constexpr):
    """BLOCK samples of the three channels. words_address: taps.pack; target_address: the tensor."""
    words = words_address.to(tl.int64).to(tl.pointer_type(tl.int32))
    width = tl.load(words + TENSOR_WIDTH)
    area = width * tl.load(words + TENSOR_HEIGHT)
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x, y = at % width - tl.load(words + PAD_X), at // width - tl.load(words + PAD_Y)
    swap = at * 0 + tl.load(words + SWAP)
    i, j = tl.where(swap != 0, y, x), tl.where(swap != 0, x, y)
    inside = (at < area) & (i >= 0) & (i < tl.load(words + ACROSS)) & (j >= 0) & (j < tl.load(words + DOWN))
    luma = _resized(words, 0, i, j, inside, WORD)
    u, v = luma * 0.0, luma * 0.0  # without chroma both stay 0
    if tl.load(words + CHANNELS) > 1:
        u, v = _resized(words, 1, i, j, inside, WORD), _resized(words, 2, i, j, inside, WORD)
    affine = (words + tl.load(words + AFFINE_AT)).to(tl.pointer_type(tl.float32), bitcast=True)
    half = tl.load(words + HALF)
    for c in range(0, 3):
        a = affine + c * AFFINE
        value = tl.load(a) * luma + tl.load(a + 3) + tl.load(a + 1) * u + tl.load(a + 2) * v
        value = tl.minimum(tl.maximum(value, tl.load(a + 4)), tl.load(a + 5))
        value = tl.where(inside, value, tl.load(a + 6))
        place = area.to(tl.int64) * c + at
        if half != 0:
            tl.store(
                target_address.to(tl.int64).to(tl.pointer_type(tl.float16)) + place, value.to(tl.float16), at < area
            )
        else:
            tl.store(target_address.to(tl.int64).to(tl.pointer_type(tl.float32)) + place, value, at < area)


VARIANTS = {
    f"letterbox_u{8 * word}": Variant(letterbox, {"WORD": word, "BLOCK": THREADS}) for word in (1, 2)
}
"""Under the names and with the blocks of cuda.letterbox_launches."""
