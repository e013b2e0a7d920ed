"""Make examples/street.mp4: a drawn street with a real face, a poster of it, and two cars with number plates.

    pip install av pillow scikit-image
    python examples/make_street.py [OUT.mp4]

The face is NASA's portrait of Eileen Collins, which scikit-image ships (public domain); brick and gravel are
its CC0 textures; all else is drawn here and the numbers are made up. The pixels depend on nothing but the
versions of Pillow and NumPy; the encoder runs on one thread in bit-exact mode. The committed file was made
with av 18.1, pillow 13.0, scikit-image 0.26 and numpy 2.4.
"""

from __future__ import annotations

import math
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import skimage.data
from PIL import Image, ImageDraw, ImageFilter, ImageFont

WIDTH, HEIGHT, FPS, FRAMES = 960, 540, 25, 145
RATE = 44100
VANISH = (500.0, 212.0)  # the world's vanishing point; the world is a little larger than the frame
WORLD = (1060, 600)

Color = tuple[int, int, int]

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


def warp(image: Image.Image, quad: list[tuple[float, float]], size: tuple[int, int]) -> Image.Image:
    """`image` with its corners (top left, then clockwise) moved to `quad` on a clear canvas of `size`."""
    w, h = image.size
    rows, values = [], []
    for (x, y), (u, v) in zip(quad, [(0, 0), (w, 0), (w, h), (0, h)], strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
        values += [u, v]
    coefficients = np.linalg.solve(np.array(rows, float), np.array(values, float))
    return image.convert("RGBA").transform(
        size, Image.Transform.PERSPECTIVE, tuple(coefficients), Image.Resampling.BICUBIC
    )


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


def window(draw: ImageDraw.ImageDraw, x: int, y: int, w: int, h: int, lit: bool) -> None:
    """One sash window."""
    draw.rectangle((x - 10, y - 10, x + w + 10, y + h + 10), fill=(226, 221, 208))
    draw.rectangle((x, y, x + w, y + h), fill=(238, 214, 150) if lit else (62, 78, 96))
    draw.polygon([(x, y), (x + w, y), (x, y + h * 2 // 3)], fill=(250, 228, 172) if lit else (92, 112, 132))
    draw.rectangle((x, y + h // 2 - 4, x + w, y + h // 2 + 4), fill=(226, 221, 208))
    draw.rectangle((x + w // 2 - 4, y, x + w // 2 + 4, y + h), fill=(226, 221, 208))
    draw.rectangle((x - 22, y + h + 10, x + w + 22, y + h + 28), fill=(198, 192, 178))


def facade(color: Color, lit: set[int], poster: Image.Image | None) -> Image.Image:
    """A house front, 1600 x 900, seen straight on."""
    brick = tint(skimage.data.brick(), color, 0.8).resize((200, 200), Image.Resampling.LANCZOS)
    wall = tiled(brick, (1600, 900))
    draw = ImageDraw.Draw(wall)
    for floor in range(2):
        for i in range(7):
            window(draw, 60 + 225 * i, 70 + 270 * floor, 110, 160, floor * 7 + i in lit)
    draw.rectangle((0, 860, 1600, 900), fill=(120, 112, 104))
    for x in (120, 1360):
        draw.rectangle((x, 610, x + 130, 860), fill=(70, 46, 34))
        draw.rectangle((x + 14, 626, x + 116, 730), fill=(96, 66, 48))
        draw.ellipse((x + 104, 750, x + 116, 762), fill=(206, 176, 90))
    if poster is not None:
        draw.rectangle((420, 300, 1180, 850), fill=(40, 44, 52))
        draw.rectangle((436, 316, 1164, 834), fill=(236, 236, 230))
        wall.paste(poster.resize((500, 500), Image.Resampling.LANCZOS), (446, 325))
        lettering(draw, (1056, 500), "SPACE", 60, (184, 64, 34))
        lettering(draw, (1056, 576), "WEEK", 60, (40, 44, 52))
        draw.rectangle((960, 626, 1152, 634), fill=(184, 64, 34))
    return wall


def lettering(draw: ImageDraw.ImageDraw, centre: tuple[int, int], text: str, size: int, color: Color) -> None:
    """Bold text about a centre, in the font that Pillow carries."""
    font = ImageFont.load_default(size)
    bold = max(1, size // 26)
    draw.text(centre, text, font=font, anchor="mm", fill=color, stroke_width=bold, stroke_fill=color)


def street() -> Image.Image:
    """The empty street, WORLD pixels large, looking down it."""
    w, h = WORLD
    sky = np.linspace(0, 1, h)[:, None, None] * np.array([60.0, 36, 6]) + np.array([150.0, 186, 222])
    world = Image.fromarray(np.broadcast_to(sky.clip(0, 255), (h, w, 3)).astype(np.uint8)).convert("RGBA")
    draw = ImageDraw.Draw(world)
    draw.rectangle((380, 130, 640, 300), fill=(132, 142, 156))
    for x in range(388, 640, 28):
        for y in range(140, 250, 26):
            draw.rectangle((x, y, x + 14, y + 14), fill=(156, 166, 178))
    asphalt = tint(skimage.data.gravel(), (92, 94, 100), 0.35).resize((400, 400), Image.Resampling.LANCZOS)
    paving = tint(skimage.data.gravel(), (166, 160, 150), 0.3).resize((300, 300), Image.Resampling.LANCZOS)
    slabs = tiled(paving, (1600, 1200))
    cuts = ImageDraw.Draw(slabs)
    for i in range(0, 1600, 200):
        cuts.line((i, 0, i, 1200), fill=(128, 122, 114), width=8)
        cuts.line((0, i, 1600, i), fill=(128, 122, 114), width=8)
    world.alpha_composite(warp(slabs, [(390, 250), (622, 250), (2900, 1090), (-1700, 1090)], WORLD))
    road = tiled(asphalt, (1200, 1600))
    lines = ImageDraw.Draw(road)
    for y in range(0, 1600, 200):
        lines.rectangle((594, y, 606, y + 100), fill=(216, 214, 204))
    for x in (0, 1170):
        lines.rectangle((x, 0, x + 30, 1600), fill=(196, 190, 180))
    world.alpha_composite(warp(road, [(436, 250), (576, 250), (1500, 760), (-600, 760)], WORLD))
    poster = Image.fromarray(skimage.data.astronaut()).crop((70, 0, 370, 300))
    left = facade((150, 88, 66), {2, 9}, None)
    right = facade((172, 140, 112), {4, 8}, poster)
    world.alpha_composite(warp(left, [(-60, -190), (400, 108), (400, 262), (-60, 440)], WORLD))
    world.alpha_composite(warp(right, [(612, 108), (1180, -210), (1180, 450), (612, 262)], WORLD))
    return world.filter(ImageFilter.GaussianBlur(0.8))


def car(color: Color, number: str) -> Image.Image:
    """A car from the front, 900 x 700 with a clear ground; its plate is 244 x 116."""
    image = Image.new("RGBA", (900, 700))
    shadow = Image.new("RGBA", image.size)
    ImageDraw.Draw(shadow).ellipse((30, 600, 870, 690), fill=(10, 10, 14, 170))
    image.alpha_composite(shadow.filter(ImageFilter.GaussianBlur(14)))
    draw = ImageDraw.Draw(image)
    dark = tuple(c * 6 // 10 for c in color)
    light = tuple(min(255, c * 13 // 10 + 18) for c in color)
    for x in (80, 700):
        draw.rounded_rectangle((x, 480, x + 120, 660), 30, fill=(22, 22, 24))
    draw.polygon([(190, 60), (250, 34), (650, 34), (710, 60), (800, 300), (100, 300)], fill=color)
    draw.polygon([(214, 76), (262, 56), (638, 56), (686, 76), (756, 270), (144, 270)], fill=(40, 52, 64))
    draw.polygon([(262, 56), (420, 56), (300, 270), (144, 270), (214, 76)], fill=(84, 104, 122))
    draw.rounded_rectangle((52, 236, 132, 292), 22, fill=dark)
    draw.rounded_rectangle((768, 236, 848, 292), 22, fill=dark)
    draw.polygon([(100, 290), (160, 262), (740, 262), (800, 290), (846, 400), (54, 400)], fill=light)
    draw.rounded_rectangle((50, 376, 850, 610), 46, fill=color)
    draw.rounded_rectangle((70, 540, 830, 626), 30, fill=dark)
    draw.rounded_rectangle((300, 396, 600, 476), 18, fill=(26, 28, 32))
    for y in range(410, 470, 16):
        draw.rectangle((312, y, 588, y + 4), fill=(120, 126, 134))
    for x0, x1 in ((76, 262), (638, 824)):
        draw.rounded_rectangle((x0, 388, x1, 470), 34, fill=(34, 38, 44))
        for cx in (x0 + 52, x1 - 52):
            draw.ellipse((cx - 36, 394, cx + 36, 464), fill=(236, 240, 244))
            draw.ellipse((cx - 20, 410, cx + 20, 448), fill=(255, 255, 250))
    shade = np.zeros((700, 900, 4), np.uint8)  # light from above: white fades out, then black fades in
    shade[..., :3] = np.where(np.arange(700) < 330, 255, 0)[:, None, None]
    shade[..., 3] = np.interp(np.arange(700), (20, 330, 331, 640), (70, 0, 0, 110))[:, None]
    shade[..., 3] = np.minimum(shade[..., 3], np.asarray(image)[..., 3])
    image.alpha_composite(Image.fromarray(shade))
    draw.rounded_rectangle((322, 492, 578, 620), 10, fill=(18, 18, 20))
    draw.rounded_rectangle((328, 498, 572, 614), 8, fill=(244, 244, 238))
    lettering(draw, (450, 514), "EXAMPLE", 22, (176, 36, 30))
    lettering(draw, (450, 567), number, 50, (20, 30, 92))
    return image.filter(ImageFilter.GaussianBlur(0.7))


def person() -> Image.Image:
    """The portrait cut out along PERSON, 512 x 512 with a clear ground."""
    mask = Image.new("L", (2048, 2048))
    ImageDraw.Draw(mask).polygon([(x * 4, y * 4) for x, y in PERSON], fill=255)
    mask = mask.resize((512, 512), Image.Resampling.LANCZOS).filter(ImageFilter.GaussianBlur(1.0))
    image = Image.fromarray(skimage.data.astronaut()).convert("RGBA")
    image.putalpha(mask)
    return image


def place(canvas: Image.Image, sprite: Image.Image, x: float, y: float, scale: float, turn: float) -> None:
    """Put `sprite` on `canvas` with its bottom centre at (x, y): sub-pixel position, `turn` in degrees."""
    # Shrink first: the affine transform below samples bicubically and would alias when it shrinks a lot.
    while scale < 0.5:
        sprite, scale = sprite.reduce(2), scale * 2
    c, s = math.cos(math.radians(turn)) / scale, math.sin(math.radians(turn)) / scale
    cx, cy = sprite.width / 2, float(sprite.height)
    matrix = (c, s, cx - c * x - s * y, -s, c, cy + s * x - c * y)
    # Premultiplied alpha, or the clear ground's colour bleeds into the edges.
    moved = sprite.convert("RGBa").transform(
        canvas.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC
    )
    canvas.alpha_composite(moved.convert("RGBA"))


def on_road(depth: float, side: float) -> tuple[float, float, float]:
    """World x, y and scale of a point of the road, `side` lanes off its middle, at `depth` (1 = near)."""
    return VANISH[0] + 5 + side * 470 / depth, VANISH[1] + 330 / depth, 1 / depth


def frames() -> list[Image.Image]:
    """All frames, RGB."""
    empty = street()
    near, far = car((176, 44, 40), "BLR 2025"), car((52, 96, 138), "NON 0451")
    walker = person()
    out = []
    for n in range(FRAMES):
        t = n / FPS
        world = empty.copy()
        cars = [(far, 6.0 * math.exp(-0.5 * (t - 3.4)), -0.6, t > 3.4)]  # comes out from behind the walker
        cars.append((near, 2.9 * math.exp(-0.52 * t), -0.78, True))
        for sprite, depth, side, there in cars:
            if there and depth > 0.3:
                x, y, scale = on_road(depth, side)
                place(world, sprite, x, y, scale * 0.66, 0.4 * math.sin(9 * t) / depth)
        walk = 1210 - 262 * (t - 0.5)  # in from the right, out at the left
        place(
            world, walker, walk, 632 + 5 * abs(math.sin(5.2 * t)), 0.82 + 0.012 * t, 1.6 * math.sin(5.2 * t)
        )
        zoom = 1.0 + 0.035 * math.sin(0.9 * t)
        px = 50 + 34 * math.sin(0.8 * t - 0.6) + 1.2 * math.sin(7 * t)
        py = 30 + 10 * math.sin(1.1 * t) + 0.9 * math.sin(6.1 * t + 1)
        view = world.convert("RGB").transform(
            (WIDTH, HEIGHT),
            Image.Transform.AFFINE,
            (1 / zoom, 0, px, 0, 1 / zoom, py),
            Image.Resampling.BICUBIC,
        )
        out.append(view)
    return out


def sound() -> np.ndarray:
    """Traffic and footsteps: float32 (1, samples)."""
    count = RATE * FRAMES // FPS
    t = np.arange(count) / RATE
    noise = np.random.Generator(np.random.PCG64(1)).standard_normal(count)
    rumble = np.convolve(noise, np.hanning(301) / 150, "same")
    swell = 0.25 + 0.75 * np.exp(-(((t - 3.2) / 1.1) ** 2))
    steps = np.convolve(noise, np.hanning(31) / 15, "same") * np.exp(-28 * np.mod(t, 0.604)) * 0.35
    hum = 0.12 * np.sin(2 * np.pi * 92 * t) * swell
    return ((0.5 * rumble * swell + steps + hum) * 0.5).clip(-1, 1).astype(np.float32)[None]


def write(path: Path) -> None:
    """Encode to H.264 (yuv420p, BT.709) and AAC."""
    with av.open(str(path), "w", options={"movflags": "+faststart", "fflags": "+bitexact"}) as box:
        video = box.add_stream(
            "libx264", rate=FPS, options={"crf": "24", "preset": "slow", "threads": "1", "flags": "+bitexact"}
        )
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.time_base = Fraction(1, FPS)
        video.codec_context.colorspace = video.codec_context.color_primaries = 1
        video.codec_context.color_trc = video.codec_context.color_range = 1
        audio = box.add_stream("aac", rate=RATE, layout="mono", options={"flags": "+bitexact"})
        audio.bit_rate = 64000
        for n, image in enumerate(frames()):
            frame = av.VideoFrame.from_image(image).reformat(
                format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
            )
            frame.pts, frame.time_base = n, Fraction(1, FPS)
            box.mux(video.encode(frame))
        box.mux(video.encode(None))
        samples = sound()
        for start in range(0, samples.shape[1], 1024):
            chunk = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(samples[:, start : start + 1024]), "fltp", "mono"
            )
            chunk.sample_rate, chunk.pts, chunk.time_base = RATE, start, Fraction(1, RATE)
            box.mux(audio.encode(chunk))
        box.mux(audio.encode(None))


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("street.mp4"))
