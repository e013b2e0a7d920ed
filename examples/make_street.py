"""Make examples/street.mp4 and bench/truth/street.json: a drawn street with a real face, a poster of it, and two
cars with number plates; and where they are on every frame.

    pip install av pillow scikit-image
    python examples/make_street.py [OUT.mp4 [TRUTH.json]]

The face is NASA's portrait of Eileen Collins, which scikit-image ships (public domain); brick and gravel are
its CC0 textures; all else is drawn here and the numbers are made up. The pixels depend on nothing but the
versions of Pillow and NumPy; the encoder runs on one thread in bit-exact mode. The committed file was made
with av 18.1, pillow 13.0, scikit-image 0.26 and numpy 2.4.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import skimage.data
from PIL import Image, ImageDraw, ImageFilter
from street_parts import Sprite, car_front, car_rear, facade, person, place, plain, poster, tiled, tint, warp

WIDTH, HEIGHT, FPS, FRAMES = 960, 540, 25, 130
RATE = 44100
VANISH = (500.0, 212.0)  # the world's vanishing point; the world is a little larger than the frame
WORLD = (1060, 600)

# Number, class and note of everything to hide; the numbers are the labels in the picture.
OBJECTS = [
    (1, "face", "the walker"),
    (2, "face", "the poster"),
    (3, "plate", "the red car that comes"),
    (4, "plate", "the blue car that goes"),
]
# From here on something is in the truth: share of it that is neither covered nor out of the picture, and height in px.
SEEN, LEAST = 0.1, {"face": 16, "plate": 8}
RULE = (
    "drawn, so known: face from fringe to chin and ear to ear, plate whole; the upright box around what shows, on "
    f"every frame on which at least {SEEN:.0%} of it shows and that is {LEAST['face']} px high (face) or "
    f"{LEAST['plate']} px (plate); boxes in luma samples, x1 and y1 exclusive"
)


def backdrop(world: Image.Image) -> None:
    """Sky, hills and trees where the street ends."""
    w, h = WORLD
    sky = np.linspace(0, 1, h)[:, None, None] * np.array([60.0, 36, 6]) + np.array([150.0, 186, 222])
    world.paste(Image.fromarray(np.broadcast_to(sky.clip(0, 255), (h, w, 3)).astype(np.uint8)))
    draw = ImageDraw.Draw(world)
    x = np.arange(360, 680, 4)
    for level, color in ((150, (150, 170, 178)), (178, (122, 148, 134))):
        y = level + 14 * np.sin(x / 37 + level) + 6 * np.sin(x / 13.0)
        draw.polygon([*zip(x.tolist(), y.tolist(), strict=True), (680, 300), (360, 300)], fill=color)
    leaves(draw, (370, 196, 660, 244), 240, 3)


def leaves(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], count: int, seed: int) -> None:
    """A bush or a tree's crown that fills an ellipse."""
    rng = np.random.Generator(np.random.PCG64(seed))
    for _ in range(count):
        angle, out = rng.uniform(0, 2 * math.pi), math.sqrt(rng.uniform())
        cx = (box[0] + box[2] + (box[2] - box[0]) * out * math.cos(angle)) / 2
        cy = (box[1] + box[3] + (box[3] - box[1]) * out * math.sin(angle)) / 2
        r, green = rng.uniform(7, 15), int(rng.integers(78, 112))
        draw.ellipse((cx - r, cy - r, cx + r, cy + r), fill=(green * 7 // 10, green, green * 5 // 10))


def street() -> Sprite:
    """The empty street, WORLD pixels large, looking down it."""
    world = plain(Image.new("RGB", WORLD))
    backdrop(world.image)
    asphalt = tint(skimage.data.gravel(), (92, 94, 100), 0.25).resize((400, 400), Image.Resampling.LANCZOS)
    paving = tint(skimage.data.gravel(), (166, 160, 150), 0.2).resize((300, 300), Image.Resampling.LANCZOS)
    slabs = tiled(paving, (1600, 1200))
    cuts = ImageDraw.Draw(slabs)
    for i in range(0, 1600, 200):
        cuts.line((i, 0, i, 1200), fill=(128, 122, 114), width=8)
        cuts.line((0, i, 1600, i), fill=(128, 122, 114), width=8)
    warp(plain(slabs), [(390, 250), (622, 250), (2900, 1090), (-1700, 1090)], world)
    road = tiled(asphalt, (1200, 1600))
    lines = ImageDraw.Draw(road)
    for y in range(0, 1600, 200):
        lines.rectangle((594, y, 606, y + 100), fill=(216, 214, 204))
    for x in (0, 1170):
        lines.rectangle((x, 0, x + 30, 1600), fill=(196, 190, 180))
    warp(plain(road), [(436, 250), (576, 250), (1500, 760), (-600, 760)], world)
    left, right = facade((150, 88, 66), {2, 9}, None), facade((172, 140, 112), {4, 8}, poster(2))
    warp(left, [(-60, -190), (400, 108), (400, 262), (-60, 440)], world)
    warp(right, [(612, 108), (1180, -210), (1180, 450), (612, 262)], world)
    draw = ImageDraw.Draw(world.image)
    for x, top, wide in ((404, 120, 34), (596, 100, 62)):  # trees before each house's far end
        leaves(draw, (x - wide, top, x + wide, 232), 5 * wide, x)
    return Sprite(world.image.filter(ImageFilter.GaussianBlur(0.8)), world.label)


def on_road(depth: float, side: float) -> tuple[float, float, float]:
    """World x, y and scale of a point of the road, `side` lanes off its middle, at `depth` (1 = near)."""
    return VANISH[0] + 5 + side * 470 / depth, VANISH[1] + 330 / depth, 1 / depth


def frames() -> Iterator[tuple[Image.Image, np.ndarray, dict[int, float]]]:
    """Each frame: the picture (RGB), its labels (HEIGHT, WIDTH) uint8, and each label's area in px were it all seen."""
    empty = street()
    comes, goes = car_front((176, 44, 40), 3, "BLR 2025"), car_rear((52, 96, 138), 4, "NON 0451")
    walker = person(1)
    for n in range(FRAMES):
        t = n / FPS
        zoom = 1.0 + 0.035 * math.sin(0.9 * t)
        world = Sprite(empty.image.copy(), empty.label.copy())
        whole = {2: zoom**2 * area(empty)}
        cars = [(4, goes, 2.9 - 0.9 * math.exp(-0.8 * t), 0.62), (3, comes, 2.0 * math.exp(-0.34 * t), -0.9)]
        for number, sprite, depth, side in cars:
            if depth > 0.25:
                x, y, scale = on_road(depth, side)
                place(sprite, x, y, scale * 0.66, 0.4 * math.sin(9 * t) / depth, world)
                whole[number] = (scale * 0.66 * zoom) ** 2 * area(sprite)
        x, y, scale = 935 - 205 * t, 632 + 5 * abs(math.sin(5.2 * t)), 0.82 + 0.012 * t
        place(walker, x, y, scale, 1.6 * math.sin(5.2 * t), world)  # out at the left
        whole[1] = (scale * zoom) ** 2 * area(walker)
        px = 50 + 34 * math.sin(0.8 * t - 0.6) + 1.2 * math.sin(7 * t)
        py = 30 + 10 * math.sin(1.1 * t) + 0.9 * math.sin(6.1 * t + 1)
        view = (WIDTH, HEIGHT), Image.Transform.AFFINE, (1 / zoom, 0, px, 0, 1 / zoom, py)
        picture = world.image.convert("RGB").transform(*view, Image.Resampling.BICUBIC)
        yield picture, np.asarray(world.label.transform(*view, Image.Resampling.NEAREST)), whole


def area(sprite: Sprite) -> int:
    """Pixels of what is to be hidden."""
    return int(np.count_nonzero(sprite.label))


class Truth:
    """Boxes of what is to be hidden, frame by frame."""

    def __init__(self) -> None:
        self.boxes: dict[int, dict[str, list[int]]] = {number: {} for number, _, _ in OBJECTS}

    def add(self, n: int, labels: np.ndarray, whole: dict[int, float]) -> None:
        """Frame n: its labels (HEIGHT, WIDTH), and each label's area in px if all of it showed."""
        for number, cls, _ in OBJECTS:
            ys, xs = np.nonzero(labels == number)
            if len(xs) < SEEN * whole.get(number, math.inf) or np.ptp(ys) + 1 < LEAST[cls]:
                continue
            edges = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
            self.boxes[number][str(n)] = [int(v) for v in edges]

    def text(self, clip: Path) -> str:
        """The file, in the format of bench/truth/README.md."""
        head = {
            "clip": clip.name,
            "sha256": hashlib.sha256(clip.read_bytes()).hexdigest(),
            "width": WIDTH,
            "height": HEIGHT,
            "frames": FRAMES,
            "cuts": [],
            "rule": RULE,
        }
        rows = ({"id": number, "cls": cls, "note": note, "boxes": self.boxes[number]} for number, cls, note in OBJECTS)
        lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
        return f'{json.dumps(head)[:-1]}, "objects": [\n{lines}\n]}}\n'


def sound() -> np.ndarray:
    """Traffic and footsteps: float32 (1, samples)."""
    count = RATE * FRAMES // FPS
    t = np.arange(count) / RATE
    noise = np.random.Generator(np.random.PCG64(1)).standard_normal(count)
    rumble = np.convolve(noise, np.hanning(301) / 150, "same")
    swell = 0.25 + 0.75 * np.exp(-(((t - 2.4) / 1.1) ** 2))
    steps = np.convolve(noise, np.hanning(31) / 15, "same") * np.exp(-28 * np.mod(t, 0.604)) * 0.35
    hum = 0.12 * np.sin(2 * np.pi * 92 * t) * swell
    return ((0.5 * rumble * swell + steps + hum) * 0.5).clip(-1, 1).astype(np.float32)[None]


def write(clip: Path, truth: Path) -> None:
    """The clip, H.264 (yuv420p, BT.709) and AAC, and its truth."""
    known = Truth()
    with av.open(str(clip), "w", options={"movflags": "+faststart", "fflags": "+bitexact"}) as box:
        video = box.add_stream(
            "libx264", rate=FPS, options={"crf": "27", "preset": "slow", "threads": "1", "flags": "+bitexact"}
        )
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.time_base = Fraction(1, FPS)
        video.codec_context.colorspace = video.codec_context.color_primaries = 1
        video.codec_context.color_trc = video.codec_context.color_range = 1
        audio = box.add_stream("aac", rate=RATE, layout="mono", options={"flags": "+bitexact"})
        audio.bit_rate = 64000
        for n, (image, labels, whole) in enumerate(frames()):
            known.add(n, labels, whole)
            frame = av.VideoFrame.from_image(image).reformat(
                format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
            )
            frame.pts, frame.time_base = n, Fraction(1, FPS)
            box.mux(video.encode(frame))
        box.mux(video.encode(None))
        samples = sound()
        for start in range(0, samples.shape[1], 1024):
            chunk = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[:, start : start + 1024]), "fltp", "mono")
            chunk.sample_rate, chunk.pts, chunk.time_base = RATE, start, Fraction(1, RATE)
            box.mux(audio.encode(chunk))
        box.mux(audio.encode(None))
    truth.write_text(known.text(clip))


if __name__ == "__main__":
    given = [Path(name) for name in sys.argv[1:]]
    here = Path(__file__).resolve().parent
    defaults = [here / "street.mp4", here.parent / "bench" / "truth" / "street.json"]
    # A clip made elsewhere takes its truth along: the committed truth goes with the committed clip.
    if len(given) == 1:
        defaults[1] = given[0].with_suffix(".json")
    write(*given, *defaults[len(given) :])
