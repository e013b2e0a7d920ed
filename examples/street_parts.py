"""What make_street.py puts together: textures, house fronts, cars, the person, and how they get onto a picture.

A sprite is an RGBA image and a label of the same size: uint8, 0 where there is nothing to hide, else the number of
the face or plate that shows there. Both are moved by the same maps, so the label says where everything is.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import skimage.data
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Color = tuple[int, int, int]
Point = tuple[float, float]

FACE = (180, 70, 271, 179)  # of skimage.data.astronaut(): fringe to chin, ear to ear

# Outline of the person in skimage.data.astronaut(), 512 x 512, traced by hand: head, ring, suit, helmet.
PERSON = [
    (232, 16), (250, 18), (266, 25), (280, 35), (291, 48), (298, 65), (301, 85), (297, 104), (289, 117),
    (281, 126), (275, 134), (269, 136), (266, 137), (261, 150), (257, 164), (255, 173), (270, 180),
    (285, 193), (296, 209), (303, 226), (305, 238), (313, 240), (325, 247), (337, 259), (346, 275),
    (349, 285), (361, 330), (366, 347), (378, 345), (397, 344), (420, 347), (443, 357), (466, 377),
    (482, 404), (491, 427), (495, 450), (501, 457), (509, 469), (511, 512), (38, 512), (26, 466),
    (24, 443), (21, 400), (21, 392), (27, 376), (28, 336), (36, 309), (44, 284), (55, 262), (72, 244),
    (97, 226), (114, 209), (115, 190), (120, 186), (125, 175), (130, 168), (140, 158), (157, 151),
    (175, 149), (186, 150), (185, 136), (178, 131), (172, 121), (163, 110), (158, 96), (155, 72),
    (158, 60), (172, 46), (191, 34), (196, 28), (211, 21),
]  # fmt: skip


class Sprite(NamedTuple):
    """RGBA image and L label of one size."""

    image: Image.Image
    label: Image.Image


def plain(image: Image.Image) -> Sprite:
    """A sprite with nothing to hide."""
    return Sprite(image.convert("RGBA"), Image.new("L", image.size))


def warp(sprite: Sprite, quad: list[Point], canvas: Sprite) -> None:
    """Put `sprite` on `canvas` with its corners (top left, then clockwise) at `quad`."""
    w, h = sprite.image.size
    rows, values = [], []
    for (x, y), (u, v) in zip(quad, [(0, 0), (w, 0), (w, h), (0, h)], strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
        values += [u, v]
    matrix = tuple(np.linalg.solve(np.array(rows, float), np.array(values, float)))
    _put(sprite.image, sprite.label, Image.Transform.PERSPECTIVE, matrix, matrix, canvas)


def place(sprite: Sprite, x: float, y: float, scale: float, turn: float, canvas: Sprite) -> None:
    """Put `sprite` on `canvas` with its bottom centre at (x, y): sub-pixel position, `turn` in degrees."""

    def matrix(size: tuple[int, int], by: float) -> tuple[float, ...]:
        c, s = math.cos(math.radians(turn)) / by, math.sin(math.radians(turn)) / by
        return (c, s, size[0] / 2 - c * x - s * y, -s, c, size[1] + s * x - c * y)

    # Shrink first: the affine transform samples bicubically and would alias when it shrinks a lot.
    image, rest = sprite.image, scale
    while rest < 0.5:
        image, rest = image.reduce(2), rest * 2
    maps = matrix(image.size, rest), matrix(sprite.label.size, scale)
    _put(image, sprite.label, Image.Transform.AFFINE, *maps, canvas)


def _put(
    image: Image.Image, label: Image.Image, kind: Image.Transform, of_image: tuple[float, ...],
    of_label: tuple[float, ...], canvas: Sprite,
) -> None:  # fmt: skip
    size = canvas.image.size
    # Premultiplied alpha, or the clear ground's colour bleeds into the edges.
    moved = image.convert("RGBa").transform(size, kind, of_image, Image.Resampling.BICUBIC).convert("RGBA")
    canvas.image.alpha_composite(moved)
    solid = moved.getchannel("A").point(lambda alpha: 255 * (alpha > 127))
    canvas.label.paste(label.transform(size, kind, of_label, Image.Resampling.NEAREST), mask=solid)


def tint(gray: np.ndarray, color: Color, contrast: float = 1.0) -> Image.Image:
    """A gray texture (h, w) uint8 in one colour."""
    level = 1 + (gray.astype(np.float64) / gray.mean() - 1) * contrast
    rgb = level[..., None] * np.array(color, float)
    return Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8))


def tiled(tile: Image.Image, size: tuple[int, int]) -> Image.Image:
    """`tile` repeated over `size`."""
    out = Image.new("RGB", size)
    for y in range(0, size[1], tile.height):
        for x in range(0, size[0], tile.width):
            out.paste(tile, (x, y))
    return out


def lettering(draw: ImageDraw.ImageDraw, centre: Point, text: str, size: int, color: Color) -> None:
    """Bold text about a centre, in the font that Pillow carries."""
    font = ImageFont.load_default(size)
    bold = max(1, size // 26)
    draw.text(centre, text, font=font, anchor="mm", fill=color, stroke_width=bold, stroke_fill=color)


def window(draw: ImageDraw.ImageDraw, x: int, y: int, w: int, h: int, lit: bool) -> None:
    """One sash window."""
    draw.rectangle((x - 10, y - 10, x + w + 10, y + h + 10), fill=(226, 221, 208))
    draw.rectangle((x, y, x + w, y + h), fill=(238, 214, 150) if lit else (62, 78, 96))
    draw.polygon([(x, y), (x + w, y), (x, y + h * 2 // 3)], fill=(250, 228, 172) if lit else (92, 112, 132))
    draw.rectangle((x, y + h // 2 - 4, x + w, y + h // 2 + 4), fill=(226, 221, 208))
    draw.rectangle((x + w // 2 - 4, y, x + w // 2 + 4, y + h), fill=(226, 221, 208))
    draw.rectangle((x - 22, y + h + 10, x + w + 22, y + h + 28), fill=(198, 192, 178))


def facade(color: Color, lit: set[int], poster: Sprite | None) -> Sprite:
    """A house front, 1600 x 900, seen straight on; the poster, if any, at its right."""
    brick = tint(skimage.data.brick(), color, 0.4).resize((200, 200), Image.Resampling.LANCZOS)
    wall = tiled(brick, (1600, 900))
    draw = ImageDraw.Draw(wall)
    for floor in range(2):
        for i in range(7):
            if poster is None or floor == 0 or i < 3:
                window(draw, 60 + 225 * i, 60 + 250 * floor, 110, 160, floor * 7 + i in lit)
    draw.rectangle((0, 860, 1600, 900), fill=(120, 112, 104))
    for x in (120, 1360) if poster is None else (120, 520):
        draw.rectangle((x, 610, x + 130, 860), fill=(70, 46, 34))
        draw.rectangle((x + 14, 626, x + 116, 730), fill=(96, 66, 48))
        draw.ellipse((x + 104, 750, x + 116, 762), fill=(206, 176, 90))
    out = plain(wall)
    if poster is not None:
        out.image.paste(poster.image, (860, 262))
        out.label.paste(poster.label, (860, 262))
    return out


def poster(number: int) -> Sprite:
    """The portrait on a billboard, 560 x 560; its face has the label `number`."""
    crop, scale = (70, 0, 370, 300), 520 / 300
    board = Image.new("RGB", (560, 560), (54, 60, 74))
    photo = Image.fromarray(skimage.data.astronaut()).crop(crop)
    board.paste(photo.resize((520, 520), Image.Resampling.LANCZOS), (20, 20))
    out = plain(board)
    box = [20 + (v - crop[i % 2]) * scale for i, v in enumerate(FACE)]
    ImageDraw.Draw(out.label).ellipse(box, fill=number)
    return out


def person(number: int) -> Sprite:
    """The portrait cut out along PERSON, 512 x 512 with a clear ground; the face has the label `number`."""
    mask = Image.new("L", (2048, 2048))
    ImageDraw.Draw(mask).polygon([(x * 4, y * 4) for x, y in PERSON], fill=255)
    mask = mask.resize((512, 512), Image.Resampling.LANCZOS).filter(ImageFilter.GaussianBlur(1.0))
    out = plain(Image.fromarray(skimage.data.astronaut()))
    out.image.putalpha(mask)
    ImageDraw.Draw(out.label).ellipse(FACE, fill=number)
    return out


def _body(color: Color) -> tuple[Image.Image, ImageDraw.ImageDraw, Color, Color]:
    """What front and rear of a car have in common: shadow, wheels, roof, flanks. 900 x 700."""
    image = Image.new("RGBA", (900, 700))
    ImageDraw.Draw(image).ellipse((30, 600, 870, 690), fill=(10, 10, 14, 190))
    image = image.filter(ImageFilter.GaussianBlur(14))
    draw = ImageDraw.Draw(image)
    dark = (color[0] * 6 // 10, color[1] * 6 // 10, color[2] * 6 // 10)
    light = (min(255, color[0] * 12 // 10 + 12), min(255, color[1] * 12 // 10 + 12), min(255, color[2] * 12 // 10 + 12))
    for x in (86, 700):
        draw.rounded_rectangle((x, 480, x + 114, 662), 30, fill=(22, 22, 24))
    draw.polygon([(200, 56), (260, 32), (640, 32), (700, 56), (800, 300), (100, 300)], fill=color)
    for x in (52, 768):
        draw.rounded_rectangle((x, 236, x + 80, 288), 22, fill=dark)
    return image, draw, dark, light


def _finish(image: Image.Image, top: int, number: int, text: str) -> Sprite:
    """Light from above, and the plate, 300 x 86, whose upper edge is at `top`."""
    shade = np.zeros((700, 900, 4), np.uint8)  # white fades out, then black fades in
    shade[..., :3] = np.where(np.arange(700) < 330, 255, 0)[:, None, None]
    shade[..., 3] = np.interp(np.arange(700), (20, 330, 331, 640), (60, 0, 0, 110))[:, None]
    shade[..., 3] = np.minimum(shade[..., 3], np.asarray(image)[..., 3])
    image.alpha_composite(Image.fromarray(shade))
    draw, box = ImageDraw.Draw(image), (300, top, 600, top + 86)
    draw.rounded_rectangle((box[0] - 6, box[1] - 6, box[2] + 6, box[3] + 6), 10, fill=(18, 18, 20))
    draw.rounded_rectangle(box, 8, fill=PLATE)
    draw.rounded_rectangle((box[0] + 5, box[1] + 5, box[2] - 5, box[3] - 5), 6, outline=INK, width=2)
    lettering(draw, (450, top + 43), text, 58, INK)
    out = Sprite(image.filter(ImageFilter.GaussianBlur(0.7)), Image.new("L", image.size))
    ImageDraw.Draw(out.label).rectangle(box, fill=number)
    return out


PLATE, INK = (240, 240, 234), (22, 24, 40)


def car_front(color: Color, number: int, text: str) -> Sprite:
    """A car that comes, 900 x 700 with a clear ground; its plate has the label `number`."""
    image, draw, dark, light = _body(color)
    draw.polygon([(222, 74), (270, 54), (630, 54), (678, 74), (752, 262), (148, 262)], fill=(40, 52, 64))
    draw.polygon([(270, 54), (400, 54), (260, 262), (148, 262), (222, 74)], fill=(70, 88, 104))
    draw.polygon([(100, 290), (160, 258), (740, 258), (800, 290), (840, 400), (60, 400)], fill=light)
    for x in (300, 600):
        draw.line((x, 262, x + (x - 450) // 4, 392), fill=color, width=5)
    draw.rounded_rectangle((50, 372, 850, 620), 46, fill=color)
    draw.polygon([(200, 440), (700, 440), (660, 600), (240, 600)], fill=(24, 26, 30))
    for y in range(452, 600, 18):
        draw.line((232, y, 668, y), fill=(62, 66, 72), width=4)
    for side in (-1, 1):
        lamp = [(450 + side * x, y) for x, y in ((392, 372), (396, 412), (300, 424), (214, 410), (222, 396))]
        draw.polygon(lamp, fill=(58, 64, 72))
        draw.line([(450 + side * x, y) for x, y in ((388, 384), (308, 398), (226, 404))], (226, 232, 238), 9)
        draw.polygon([(450 + side * x, y) for x, y in ((370, 490), (376, 580), (270, 590), (290, 520))], fill=dark)
    return _finish(image, 486, number, text)


def car_rear(color: Color, number: int, text: str) -> Sprite:
    """A car that goes, 900 x 700 with a clear ground; its plate has the label `number`."""
    image, draw, dark, light = _body(color)
    draw.polygon([(232, 84), (280, 62), (620, 62), (668, 84), (726, 226), (174, 226)], fill=(44, 54, 62))
    draw.polygon([(280, 62), (420, 62), (300, 226), (174, 226), (232, 84)], fill=(72, 88, 100))
    draw.rounded_rectangle((60, 250, 840, 620), 60, fill=color)
    draw.polygon([(150, 262), (750, 262), (770, 300), (130, 300)], fill=light)
    for x0, x1 in ((74, 262), (638, 826)):
        draw.rounded_rectangle((x0, 306, x1, 366), 22, fill=(150, 22, 26))
        draw.rounded_rectangle((x0 + 12, 318, x1 - 12, 338), 8, fill=(214, 60, 52))
    draw.rounded_rectangle((262, 384, 638, 500), 16, fill=dark)
    draw.rounded_rectangle((70, 530, 830, 628), 30, fill=(38, 40, 44))
    draw.line((80, 524, 820, 524), fill=dark, width=6)
    return _finish(image, 398, number, text)
