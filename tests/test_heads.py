"""Detector families: input sizes, the decoding of each head, NMS, and the way back to the frame."""

from __future__ import annotations

import itertools
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anonfilter.errors import ModelError
from anonfilter.infer import open_session
from anonfilter.kernels.letterbox import Letterbox
from anonfilter.models import catalog
from anonfilter.models.catalog import Model
from anonfilter.models.centerface import CenterFace
from anonfilter.models.family import FAMILIES, GIVE, MAX_ENLARGE, default_room, fit_size, load_family
from anonfilter.models.nms import MAX_CANDIDATES, nms
from anonfilter.models.retina import Retina, priors
from anonfilter.models.yolo import Yolo


class Straight:
    """A letterbox that maps the tensor onto itself."""

    def to_frame(self, points: np.ndarray) -> np.ndarray:
        return points


def real(name: str) -> Model:
    """A shipped model whose file is there, pulled if need be. CI may not skip."""
    model = catalog.resolve(name)
    try:
        model.path()
    except ModelError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no network: {error}")
    return model


# Sizes


@pytest.mark.parametrize(
    ("picture", "size"),
    [
        ((1280, 720), (640, 384)),  # shrunk to the model's size
        ((1920, 1080), (640, 352)),
        ((720, 1280), (384, 640)),
        ((1080, 1920), (352, 640)),  # upright
        ((3840, 2160), (1280, 704)),  # shrunk three times at most
        ((640, 360), (640, 384)),
        ((400, 225), (640, 384)),  # enlarged up to the model's size
        ((160, 120), (320, 256)),  # enlarged twice at most
        ((1, 1), (32, 32)),
        ((4000, 2), (1312, 32)),
    ],
)
def test_default_input_size(picture: tuple[int, int], size: tuple[int, int]) -> None:
    assert fit_size(picture, default_room(picture, 640), 32) == size


@given(
    st.tuples(st.integers(1, 8192), st.integers(1, 8192)),
    st.tuples(st.integers(32, 2048), st.integers(32, 2048)),
)
def test_fit_size(picture: tuple[int, int], room: tuple[int, int]) -> None:
    size = fit_size(picture, room, 32)
    for side, limit, long in zip(size, room, picture, strict=True):
        assert side % 32 == 0
        assert 32 <= side < limit + 32
        assert side < MAX_ENLARGE * long + 33
    # The picture is at most so much smaller than the room would allow.
    scale = min(MAX_ENLARGE, *(k / n for k, n in zip(room, picture, strict=True)))
    assert min(k / n for k, n in zip(size, picture, strict=True)) >= (1 - GIVE) * scale * 0.999 - 0.5 / min(picture)


# NMS


def slow_nms(boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, iou: float) -> list[int]:
    """From the definition, pair by pair."""

    def ratio(a: np.ndarray, b: np.ndarray) -> float:
        w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
        h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
        union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h
        return w * h / union if union else 0.0

    keep: list[int] = []
    for i in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        if all(classes[i] != classes[k] or ratio(boxes[i], boxes[k]) <= iou for k in keep):
            keep.append(i)
    return keep


@pytest.mark.parametrize("count", [0, 1, 2, 9, 41, 141])
def test_nms_equals_its_definition(count: int) -> None:
    rng = np.random.default_rng(count)
    corner = rng.integers(0, 60, (count, 2))
    # Whole numbers, so that ties of score and boxes without area occur.
    boxes = np.concatenate([corner, corner + rng.integers(0, 25, (count, 2))], axis=1).astype(float)
    scores = rng.integers(1, 20, count) / 20
    classes = rng.integers(0, 2, count)
    for iou in (0.1, 0.45, 0.9):
        assert nms(boxes, scores, classes, iou).tolist() == slow_nms(boxes, scores, classes, iou)


def test_nms_bounds_its_work_and_keeps_the_best() -> None:
    count = MAX_CANDIDATES + 1000
    x = np.arange(count) * 10.0
    scores = np.linspace(0.1, 0.9, count)
    boxes = np.stack([x, x * 0, x + 5, x * 0 + 5], axis=1)
    keep = nms(boxes, scores, np.zeros(count, int), 0.5)
    assert keep.tolist() == list(range(count - 1, count - 1 - MAX_CANDIDATES, -1))


# Heads


def test_centerface_decodes_what_its_paper_encodes() -> None:
    heat = np.full((1, 1, 24, 40), 0.01, np.float32)
    scale, offset = np.zeros((2, 1, 2, 24, 40), np.float32)
    heat[0, 0, 7, 30] = 0.9
    # A face of 20 x 28 around (122.6, 29.4): cell (30, 7), offsets in cells, log of the size in cells.
    offset[0, :, 7, 30] = 29.4 / 4 - 7.5, 122.6 / 4 - 30.5
    scale[0, :, 7, 30] = np.log(28 / 4), np.log(20 / 4)
    outputs = {"h": heat, "s": scale, "o": offset, "l": np.zeros((1, 10, 24, 40), np.float32)}
    (face,) = CenterFace(("face",), 0.3).decode(outputs, Straight(), (160, 96), 0.5)
    assert face.box == pytest.approx((112.6, 15.4, 132.6, 43.4), abs=1e-4)
    assert (face.cls, face.score, face.poly) == ("face", pytest.approx(0.9), None)
    scale[0, :, 7, 30] = 1e6
    (face,) = CenterFace(("face",), 0.3).decode(outputs, Straight(), (160, 96), 0.5)
    assert face.box[0] < 0 < 160 < face.box[2] < 1000


def test_retina_decodes_what_ssd_encodes() -> None:
    size = (128, 96)
    grid = priors(size)
    at = 137
    cx, cy, side, _ = grid[at].astype(float)
    code, conf = np.zeros((1, len(grid), 4), np.float32), np.zeros((1, len(grid), 2), np.float32)
    points = np.zeros((1, len(grid), 8), np.float32)
    conf[0, :, 0], conf[0, at] = 1, (0.2, 0.8)
    # A plate of 40 x 12 centred at (50, 33), corners one sample outside of it at the left.
    code[0, at] = (
        (50 - cx) / side / 0.1,
        (33 - cy) / side / 0.1,
        np.log(40 / side) / 0.2,
        np.log(12 / side) / 0.2,
    )
    corners = np.array([(29, 27), (70, 27), (70, 39), (29, 39)], float)  # clockwise from the top left
    points[0, at] = ((corners[[2, 3, 0, 1]] - (cx, cy)) / side / 0.1).ravel()
    (plate,) = Retina(("plate",), 0.4).decode({"l": code, "c": conf, "p": points}, Straight(), size, 0.5)
    assert plate.box == pytest.approx((29, 27, 70, 39), abs=1e-3)
    assert np.array(plate.poly) == pytest.approx(corners, abs=1e-3)
    with pytest.raises(ModelError, match="priors"):
        Retina(("plate",), 0.4).decode({"l": code, "c": conf, "p": points}, Straight(), (160, 96), 0.5)


@pytest.mark.parametrize("size", [(32, 32), (640, 384), (96, 160)])
def test_priors_are_as_many_as_the_net_has(size: tuple[int, int]) -> None:
    shape = (1, 3, size[1], size[0])
    session = open_session(real("plates").path(), shapes={"": shape}, engine="onnxruntime")
    outputs = session.run(np.zeros(shape, np.float32))
    assert [o.shape[1] for o in outputs.values()] == [len(priors(size))] * 3


def test_yolo_raw_head() -> None:
    head = np.zeros((1, 6, 5), np.float32)
    head[0, :, 1] = 50, 40, 20, 10, 0.3, 0.7
    head[0, :, 3] = 90, 40, 20, 10, 0.6, 0.2
    head[0, :, 4] = 91, 40, 20, 10, 0.5, 0.4
    found = Yolo(("face", "plate"), 0.45).decode({"o": head}, Straight(), (128, 96), 0.25)
    assert [(d.cls, d.box) for d in found] == [("plate", (40, 35, 60, 45)), ("face", (80, 35, 100, 45))]


def test_yolo_end_to_end_head() -> None:
    rows = np.zeros((1, 300, 6), np.float32)
    rows[0, 0] = 10, 20, 30, 40, 0.9, 1
    rows[0, 1] = 50, 20, 70, 40, 0.2, 0
    family = Yolo(("face", "plate"), 0.45)
    assert [(d.cls, d.box) for d in family.decode({"o": rows}, Straight(), (96, 96), 0.25)] == [
        ("plate", (10, 20, 30, 40))
    ]
    assert len(family.decode({"o": rows}, Straight(), (96, 96), 0.0)) == 2  # not the padding
    rows[0, 0, 5] = 2
    with pytest.raises(ModelError, match="class 2"):
        family.decode({"o": rows}, Straight(), (96, 96), 0.25)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_outputs_that_are_not_finite_never_pass_for_nothing_found(family: str, bad: float) -> None:
    outputs = {
        "centerface": [np.zeros((1, n, 8, 8), np.float32) for n in (1, 2, 2, 10)],
        "retina": [np.zeros((1, len(priors((32, 32))), n), np.float32) for n in (4, 2, 8)],
        "yolo": [np.zeros((1, 5, 21), np.float32)],
    }[family]
    {"centerface": outputs[0], "retina": outputs[min(1, len(outputs) - 1)], "yolo": outputs[0][:, 4:]}[
        family
    ].fill(bad)
    named = {str(i): output for i, output in enumerate(outputs)}
    with pytest.raises(ModelError, match="not finite"):
        load_family(family)(("x",), 0.5).decode(named, Straight(), (32, 32), 0.5)


@pytest.mark.parametrize(("rotation", "hflip"), list(itertools.product((0, 90, 180, 270), (False, True))))
def test_boxes_come_back_through_every_letterbox(rotation: int, hflip: bool) -> None:
    want = np.array([100.0, 50, 180, 110])
    box = Letterbox.fit((0, 0, 700, 400), (320, 320), rotation, hflip)
    corners = box.to_tensor(want[[0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 2))
    low, high = corners.min(axis=0), corners.max(axis=0)
    rows = np.array([[[*low, *high, 0.9, 0]]], np.float32)
    (found,) = Yolo(("face",), 0.5).decode({"o": np.repeat(rows, 2, axis=1)}, box, (320, 320), 0.5)
    assert found.box == pytest.approx(want, abs=1e-3)
