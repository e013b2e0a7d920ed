"""What bench/compose.py moves about: people cut from photographs, a car with a rendered plate, pillars.

A sprite is a picture with an alpha channel and, if it is to be hidden, the outline of its face or plate. The people are
cut with GrabCut (Rother, Kolmogorov and Blake, SIGGRAPH 2004) from photographs of the development data, which stay
where they are: nothing of them is in this repository. What a photograph does not show of a body is drawn.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Picture = NDArray[np.float32]  # (h, w, 4), colours times alpha, 0..1
Points = NDArray[np.float64]  # (k, 2), x and y

# Faces read by eye under a grid: hairline to chin, ear to ear, in the photograph's pixels. `number` is the annotation
# of train/faces-varied that the photograph was found by, or a frame of clips/speech-cuts-360p.mp4 (frame NUMBER).
FACES: dict[str, tuple[str, int, tuple[int, int, int, int]]] = {
    "blue": ("photo", 1998, (85, 148, 191, 279)),
    "hood": ("photo", 2345, (95, 170, 196, 296)),
    "stripes": ("photo", 2837, (117, 162, 213, 299)),
    "turned": ("photo", 2517, (133, 180, 231, 316)),
    "denim": ("photo", 2992, (106, 168, 210, 293)),
    "black": ("photo", 3352, (101, 168, 210, 300)),
    "pale": ("photo", 1344, (85, 180, 189, 305)),
    "smile": ("photo", 2786, (90, 84, 241, 266)),
    "beard": ("photo", 2311, (41, 158, 150, 306)),
    "tall": ("photo", 1448, (134, 128, 242, 264)),
    "nurse": ("photo", 2276, (178, 22, 267, 134)),
    "pilot": ("astronaut", 0, (180, 70, 271, 179)),
    "singer": ("speech", 190, (219, 19, 307, 145)),
}
# Where the photograph's body is hidden (hands, a caption) it is cut here, in face heights below the chin.
BODY = {"nurse": 0.06, "singer": 0.9}


def ellipse(box: tuple[float, float, float, float], count: int = 96) -> Points:
    """The ellipse that touches the box's four sides, as a polygon that does, too (count a multiple of 4)."""
    angle = np.arange(count) * (2 * math.pi / count)
    x0, y0, x1, y1 = box
    unit = np.stack([np.cos(angle), np.sin(angle)], 1)
    return unit * [(x1 - x0) / 2, (y1 - y0) / 2] + [(x0 + x1) / 2, (y0 + y1) / 2]


@dataclass(frozen=True, eq=False)
class Sprite:
    """A picture to be moved. Poses are of `centre` and `height`: for an object those of its outline's box.

    head: for what can turn: x0, y0, x1, y1 of the head's surface that turns, hair to chin.
    """

    picture: Picture
    centre: tuple[float, float]
    height: float
    cls: str | None = None
    outline: Points | None = None
    head: tuple[float, float, float, float] | None = None
    levels: tuple[Picture, ...] = ()

    def level(self, scale: float) -> tuple[Picture, float]:
        """The picture halved so often that `scale` of it needs no more than halving again, and what is left."""
        levels = self.levels or (self.picture,)
        step = min(max(0, math.floor(-math.log2(max(scale, 1e-3)))), len(levels) - 1)
        return levels[step], scale * 2**step

    def with_levels(self) -> Sprite:
        """With its reductions made once."""
        out = [self.picture]
        while min(out[-1].shape[:2]) >= 16 and len(out) < 6:
            h, w = out[-1].shape[:2]
            even = cv2.copyMakeBorder(out[-1], 0, h % 2, 0, w % 2, cv2.BORDER_REPLICATE)
            half = (even.shape[1] // 2, even.shape[0] // 2)
            out.append(np.asarray(cv2.resize(even, half, interpolation=cv2.INTER_AREA), np.float32))
        return replace(self, levels=tuple(out))


def box_of(points: Points) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 of points."""
    (x0, y0), (x1, y1) = points.min(0).tolist(), points.max(0).tolist()
    return x0, y0, x1, y1


def whole(picture: Picture, cls: str | None = None, outline: Points | None = None, **more: Any) -> Sprite:
    """A sprite whose centre and height are those of its outline, or of the picture."""
    h, w = picture.shape[:2]
    x0, y0, x1, y1 = (0, 0, w, h) if outline is None else box_of(outline)
    return Sprite(picture, ((x0 + x1) / 2, (y0 + y1) / 2), y1 - y0, cls, outline, **more).with_levels()


def video_frame(path: Path, number: int) -> NDArray[np.uint8]:
    """Frame `number` in decode order, RGB (h, w, 3)."""
    with av.open(str(path)) as container:
        for n, frame in enumerate(container.decode(video=0)):
            if n == number:
                return np.asarray(frame.to_ndarray(format="rgb24"))
    raise IndexError(f"{path}: no frame {number}")


@lru_cache(maxsize=1)
def annotations(folder: Path) -> dict[int, str]:
    """File of each annotation's image of a COCO folder."""
    data = json.loads((folder / "annotations.json").read_text())
    names = {image["id"]: image["file_name"] for image in data["images"]}
    return {item["id"]: names[item["image_id"]] for item in data["annotations"]}


def source(data: Path, name: str) -> tuple[NDArray[np.uint8], tuple[int, int, int, int]]:
    """The photograph of FACES[name], RGB, and its face."""
    kind, number, face = FACES[name]
    if kind == "astronaut":
        import skimage.data

        return np.asarray(skimage.data.astronaut()), face
    if kind == "speech":
        return video_frame(data / "clips" / "speech-cuts-360p.mp4", number), face
    folder = data / "train" / "faces-varied"
    return np.asarray(Image.open(folder / "images" / annotations(folder)[number]).convert("RGB")), face


def cut(rgb: NDArray[np.uint8], face: tuple[int, int, int, int], reach: float) -> NDArray[np.float32]:
    """Alpha of the person around a face, (h, w), by GrabCut; down to `reach` face heights below the chin."""
    h, w = rgb.shape[:2]
    x0, y0, x1, y1 = face
    cx, fw, fh = (x0 + x1) / 2, x1 - x0, y1 - y0
    trimap = np.full((h, w), cv2.GC_BGD, np.uint8)

    def oval(cy: float, a: float, b: float, value: int) -> None:
        cv2.ellipse(trimap, (round(cx), round(cy)), (round(a), round(b)), 0, 0, 360, value, -1)

    def torso(top: float, neck: float, shoulder: float, low: float, value: int) -> None:
        rows = [(top, neck), (top + 0.35 * fh, neck * 1.2), (top + low * fh, shoulder), (h + 1, shoulder * 1.25)]
        side = [(cx - half * fw, y) for y, half in rows] + [(cx + half * fw, y) for y, half in rows[::-1]]
        cv2.fillPoly(trimap, [np.array(side, np.int32)], value)

    oval((y0 + y1) / 2 - 0.15 * fh, 0.95 * fw, 1.0 * fh, cv2.GC_PR_BGD)
    torso(y1 - 0.4 * fh, 0.75, 2.0, 0.7, cv2.GC_PR_BGD)
    torso(y1 - 0.25 * fh, 0.5, 1.45, 0.95, cv2.GC_PR_FGD)
    oval((y0 + y1) / 2 - 0.2 * fh, 0.55 * fw, 0.74 * fh, cv2.GC_PR_FGD)
    torso(y1 - 0.2 * fh, 0.3, 0.8, 1.2, cv2.GC_FGD)
    oval((y0 + y1) / 2 - 0.1 * fh, 0.46 * fw, 0.58 * fh, cv2.GC_FGD)
    cv2.setRNGSeed(1)
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    cv2.grabCut(bgr, trimap, None, np.zeros((1, 65)), np.zeros((1, 65)), 5, cv2.GC_INIT_WITH_MASK)
    hard = ((trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD)).astype(np.uint8)
    hard = np.asarray(cv2.morphologyEx(hard, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)))
    hard = np.asarray(cv2.morphologyEx(hard, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8)))
    count, labels = cv2.connectedComponents(hard)
    hard = (labels == labels[round((y0 + y1) / 2), round(cx)]).astype(np.uint8) if count > 1 else hard
    hard[round(min(h, y1 + reach * fh)) :] = 0
    hard[:3] = 0
    soft = cv2.GaussianBlur(cv2.erode(hard, np.ones((3, 3), np.uint8)).astype(np.float32), (0, 0), 1.2)
    return np.asarray(soft, np.float32)


def person(data: Path, name: str) -> Sprite:
    """FACES[name] as a standing person: the photograph to the chest, what is below drawn in its colours."""
    rgb, face = source(data, name)
    alpha = cut(rgb, face, BODY.get(name, math.inf))
    rgb, alpha, face = squared(rgb, alpha, face)
    x0, y0, x1, y1 = face
    fh, cx = y1 - y0, (x0 + x1) / 2
    h, w = rgb.shape[:2]
    rows = np.flatnonzero(alpha.max(1) > 0.5)
    last = int(rows.max()) - 1
    tall = round(y1 + 8.3 * fh)
    solid = alpha > 0.9
    cloth = solid.copy()
    cloth[: round(y1 + 0.4 * fh)] = False
    colour = np.median(rgb[cloth], 0) if cloth.sum() > 200 else np.array([70, 82, 96])
    body = np.zeros((tall, w, 4), np.float32)
    texture = drawn_cloth((tall, w), last, colour)
    edge = np.flatnonzero(alpha[last] > 0.5) if y1 + 0.6 * fh < last else np.array([])
    left, right = (edge.min(), edge.max() + 1) if edge.size else (cx - 1.1 * fh, cx + 1.1 * fh)
    torso = [(left, last - 24), (right, last - 24), (cx + 0.85 * fh, y1 + 3.4 * fh), (cx - 0.85 * fh, y1 + 3.4 * fh)]
    if not edge.size:  # shoulders, too
        top = y1 + 0.02 * fh
        slope = [
            (cx + 0.3 * fh, top),
            (cx + 0.45 * fh, top + 0.22 * fh),
            (cx + fh, top + 0.5 * fh),
            (right, top + fh),
        ]
        torso = [(2 * cx - x, y) for x, y in slope[::-1]] + slope + torso[2:]
    legs = [
        [(cx + s * 0.04 * fh, y1 + 3.3 * fh), (cx + s * 0.8 * fh, y1 + 3.3 * fh), (cx + s * 0.62 * fh, tall - 2),
         (cx + s * 0.18 * fh, tall - 2)] for s in (-1, 1)
    ]  # fmt: skip
    dark = np.clip(0.35 * colour + [8, 9, 12], 0, 70) / 255
    for polygon in legs:
        over(body, dark.astype(np.float32), soft_mask(polygon, (tall, w)))
    over(body, texture / 255, soft_mask(torso, (tall, w)))
    front = np.zeros((tall, w), np.float32)
    front[: last + 1] = alpha[: last + 1]
    if edge.size:
        front[last - 24 : last + 1] *= np.linspace(1, 0, 25)[:, None]  # the photograph ends in the drawn cloth
    photo = np.zeros((tall, w, 3), np.float32)
    photo[: min(h, tall)] = rgb[:tall] / np.float32(255)
    over(body, photo, front)
    hair = int(rows.min())
    head = (x0 - 0.06 * (x1 - x0), hair, x1 + 0.06 * (x1 - x0), y1)
    return whole(body, "face", ellipse(face), head=head)


def squared(
    rgb: NDArray[np.uint8], alpha: NDArray[np.float32], face: tuple[int, int, int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.float32], tuple[int, int, int, int]]:
    """Photograph, alpha and face on a canvas wide enough for the shoulders: 1.5 face heights on both sides."""
    x0, y0, x1, y1 = face
    half = round(1.5 * (y1 - y0))
    centre = round((x0 + x1) / 2)
    left, right = max(0, half - centre), max(0, centre + half - rgb.shape[1])
    wide = ((0, 0), (left, right))
    start = centre + left - half
    keep = slice(start, start + 2 * half)
    shift = left - start
    moved = (x0 + shift, y0, x1 + shift, y1)
    return np.pad(rgb, (*wide, (0, 0)))[:, keep], np.pad(alpha, wide)[:, keep], moved


def drawn_cloth(shape: tuple[int, int], last: int, colour: NDArray[Any]) -> NDArray[np.float32]:
    """Cloth of one colour with soft folds, darker to the sides and below `last`: float32 (*shape, 3), 0..255."""
    tall, w = shape
    rng = np.random.Generator(np.random.PCG64(3))
    folds = cv2.GaussianBlur(rng.standard_normal(shape).astype(np.float32), (0, 0), 5.0, sigmaY=16.0)
    shade = 1 - 0.35 * np.linspace(-1, 1, w) ** 2
    fall = np.interp(np.arange(tall), [last, tall], [1.0, 0.75])
    light = shade[None, :] * fall[:, None] * (1 + 0.05 * folds / folds.std())
    return np.asarray(colour.astype(np.float32) * light[..., None], np.float32)


def over(canvas: Picture, colour: NDArray[np.float32], alpha: NDArray[np.float32]) -> None:
    """Lay a colour, or a picture of the canvas's size, over a premultiplied canvas."""
    canvas *= 1 - alpha[..., None]
    canvas[..., :3] += colour * alpha[..., None]
    canvas[..., 3] += alpha


def soft_mask(points: Any, shape: tuple[int, int]) -> NDArray[np.float32]:
    """A filled polygon with edges two samples soft, 0..1."""
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.round(np.array(points)).astype(np.int32)], 255)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 1.2), np.float32) / np.float32(255)


CAR = [
    (224, 112), (240, 106), (262, 110), (268, 122), (290, 95), (312, 66), (345, 58), (400, 55), (470, 57), (520, 66),
    (545, 90), (582, 128), (585, 108), (600, 98), (616, 108), (614, 120), (605, 130), (640, 150), (690, 178),
    (715, 195), (730, 225), (735, 270), (735, 320), (722, 350), (700, 368), (668, 372), (640, 384), (600, 391),
    (540, 397), (450, 395), (380, 391), (300, 391), (258, 388), (232, 385), (220, 350), (215, 300), (218, 255),
    (225, 225), (232, 195), (248, 170), (243, 150), (246, 135), (238, 128), (225, 125),
]  # fmt: skip
CAR_FRAME, CAR_CROP = 118, (150, 150, 1000, 620)  # of clips/plate-uk-720p.mp4; CAR and CAR_PLATE are in the crop
CAR_PLATE = [(444.5, 344.5), (600.5, 337.0), (600.5, 374.0), (445.0, 383.0)]


def plate(text: str, yellow: bool, band: bool) -> NDArray[np.float32]:
    """A British number plate, RGB 0..1 (222, 1040, 3): white or yellow, with or without the blue band."""
    image = Image.new("RGB", (1040, 222), (244, 196, 42) if yellow else (226, 228, 232))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((4, 4, 1035, 217), 24, outline=(40, 40, 46), width=5)
    if band:
        draw.rectangle((10, 10, 106, 211), fill=(22, 58, 150))
        draw.text((58, 168), "GB", font=ImageFont.load_default(54), anchor="mm", fill=(240, 240, 240))
    ink = (20, 21, 28)
    font = ImageFont.load_default(176)
    draw.text((570 if band else 520, 112), text, font=font, anchor="mm", fill=ink, stroke_width=6, stroke_fill=ink)
    return np.asarray(image, np.float32) / np.float32(255)


def car(data: Path, text: str, paint: str = "blue", yellow: bool = False, band: bool = False) -> Sprite:
    """The car of plate-uk-720p.mp4 with another number: its own plate is painted over, and ours lies on it."""
    x0, y0, x1, y1 = CAR_CROP
    rgb = video_frame(data / "clips" / "plate-uk-720p.mp4", CAR_FRAME)[y0:y1, x0:x1].astype(np.float32) / 255
    h, w = rgb.shape[:2]
    if paint == "red":
        rgb = rgb[..., ::-1].copy()
    elif paint == "silver":
        rgb = np.clip(rgb.mean(2, keepdims=True) * [1.7, 1.72, 1.75] + 0.06, 0, 1).astype(np.float32)
    quad = np.array(CAR_PLATE, np.float32)
    around = quad.mean(0) + (quad - quad.mean(0)) * [1.03, 1.12]
    cv2.fillPoly(rgb, [np.round(around).astype(np.int32)], (0.05, 0.05, 0.06))
    fine = 4  # the plate is laid on at four times the size, and averaged
    sign = cv2.GaussianBlur(plate(text, yellow, band), (0, 0), 2.0)
    corners = np.array([[0, 0], [1040, 0], [1040, 222], [0, 222]], np.float32)
    to = cv2.getPerspectiveTransform(corners, quad * fine)
    big = cv2.warpPerspective(np.dstack([sign, np.ones(sign.shape[:2], np.float32)]), to, (w * fine, h * fine))
    small = np.asarray(cv2.resize(big, (w, h), interpolation=cv2.INTER_AREA), np.float32)
    rgb = rgb * (1 - small[..., 3:]) + small[..., :3] * np.float32(0.86)
    body = np.zeros((h, w, 4), np.float32)
    shadow = np.zeros((h, w), np.float32)
    cv2.ellipse(shadow, (475, 388), (275, 22), 0, 0, 360, 0.75, -1)
    over(body, np.zeros(3, np.float32), cv2.GaussianBlur(shadow, (0, 0), 9.0))
    over(body, rgb, soft_mask(CAR, (h, w)))
    return whole(body[40:440, 180:780].copy(), "plate", np.array(CAR_PLATE) - [180, 40])


def slab(width: int, height: int, level: float, seed: int) -> Sprite:
    """A concrete pillar or a wall: an upright slab with rough shading. Its height is its own."""
    rng = np.random.Generator(np.random.PCG64(seed))
    rough = cv2.GaussianBlur(rng.standard_normal((height, width)).astype(np.float32), (0, 0), 1.5)
    shade = level * (1.08 - 0.25 * np.linspace(0, 1, width)[None, :]) + 0.03 * rough / rough.std()
    rgb = shade[..., None] * np.array([1.0, 0.99, 0.96])
    return whole(np.dstack([np.clip(rgb, 0, 1), np.ones((height, width))]).astype(np.float32))
