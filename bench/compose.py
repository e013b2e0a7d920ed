"""Composited clips with exact truth: real faces and rendered plates moved over real footage in known ways.

    python bench/compose.py --data ../shared/data --out FOLDER [--only NAME[,NAME]] [--list]

writes FOLDER/NAME.mp4 (H.264, crf 16, BT.709) and FOLDER/NAME.json for each scene of compose_scenes.py. The truth
depends on nothing but the scene and the outline of what hides an object; the pixels on the versions of the libraries.

The JSON is that of bench/truth/README.md, and more:

    "rate": "25/1", "movement": "little" | "busy", "fades": [[first, last], ...] frames of gradual transitions,
    objects[]: "tags": what the object does; "visible": {"FRAME": 0..1}, the share of its own samples that shows (what
    is before it, out of the frame, turned away, or faded out does not); "of": for entries in doubt, the sure one's id.

An object-frame with 0.1 to 0.25 of the object visible is in an entry of its own with "doubt": true; one with less is
left out, as are faces under 16 px and plates under 8 px high. Faces and plates that the footage itself has are not
listed: it was chosen to have none that can be told (people from behind, far cars).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))  # its parts, also under PYTHONSAFEPATH

import av
import cv2
import numpy as np
from compose_render import LEAST, SEEN, SURE, Image, Seen, render
from compose_scenes import SCENES
from compose_stock import Scene, Stock

RULE = (
    "composited, so known: face from hairline to chin and ear to ear, plate whole; the upright box of the part that "
    f"nothing hides, clipped to the frame, at the middle of the exposure, where {SEEN:.0%} and more of it shows "
    f"(under {SURE:.0%} in doubt) and the whole is {LEAST['face']:.0f} px high (face) or {LEAST['plate']:.0f} px "
    "(plate); boxes in luma samples, x1 and y1 exclusive. Faces and plates of the footage itself are not listed"
)
Find = tuple[int, int, Seen, float]  # shot, actor, what is seen, opacity


def frames(scene: Scene) -> Iterator[tuple[Image, list[Find]]]:
    """Each frame without noise, and what is seen on it."""
    starts, end = [], 0
    for shot, join in zip(scene.shots, scene.joins, strict=True):
        starts.append(end - join)
        end += shot.frames - join
    for n in range(end):
        image: Image | None = None
        finds: list[Find] = []
        for i, (shot, start) in enumerate(zip(scene.shots, starts, strict=True)):
            if not start <= n < start + shot.frames:
                continue
            picture, seen = render(shot, n - start)
            join = scene.joins[i]
            weight = (n - start + 1) / (join + 1) if n - start < join else 1.0
            light = 1.0 if shot.light is None else min(1.0, shot.light(float(n - start)))
            finds = [(a, b, c, opacity * (1 - weight)) for a, b, c, opacity in finds]
            finds += [(i, k, item, weight * light) for k, item in enumerate(seen) if item is not None]
            image = picture if image is None else image * np.float32(1 - weight) + picture * np.float32(weight)
        assert image is not None
        yield image, finds


def transitions(scene: Scene) -> tuple[list[int], list[list[int]]]:
    """First frames after hard cuts, and first and last frame of each gradual transition."""
    cuts, fades, end = [], [], 0
    for shot, join in zip(scene.shots, scene.joins, strict=True):
        if join:
            fades.append([end - join, end - 1])
        elif end:
            cuts.append(end)
        start, end = end - join, end - join + shot.frames
        if shot.light is not None:
            changes = [k for k in range(1, shot.frames) if abs(shot.light(k) - shot.light(k - 1)) > 1e-6]
            for k in changes:
                if fades and fades[-1][1] >= start + k - 1:
                    fades[-1][1] = start + k
                else:
                    fades.append([start + k - 1, start + k])
    return cuts, fades


class Truth:
    """What is seen, object by object."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.boxes: dict[tuple[int, int, bool], dict[str, list[float]]] = {}
        self.visible: dict[tuple[int, int, bool], dict[str, float]] = {}

    def add(self, n: int, finds: list[Find]) -> None:
        """Frame n."""
        for shot, k, item, opacity in finds:
            actor = self.scene.shots[shot].actors[k]
            visible = item.visible * opacity
            x0, y0, x1, y1 = item.box
            if visible < SEEN or item.height < LEAST[actor.sprite.cls or "face"] or min(x1 - x0, y1 - y0) < 2:
                continue
            key = (shot, k, visible < SURE)
            self.boxes.setdefault(key, {})[str(n)] = [round(v, 3) for v in item.box]
            self.visible.setdefault(key, {})[str(n)] = round(visible, 4)

    def text(self, clip: Path, size: tuple[int, int], count: int) -> str:
        """The file."""
        cuts, fades = transitions(self.scene)
        head = {
            "clip": clip.name, "sha256": hashlib.sha256(clip.read_bytes()).hexdigest(), "width": size[0],
            "height": size[1], "frames": count, "rate": f"{self.scene.rate}/1", "movement": self.scene.movement,
            "cuts": cuts, "fades": fades, "rule": RULE,
        }  # fmt: skip
        rows: list[dict[str, Any]] = []
        for key in sorted(self.boxes, key=lambda k: (k[2], k[0], k[1])):
            shot, k, doubt = key
            actor = self.scene.shots[shot].actors[k]
            row = {"id": len(rows) + 1, "cls": actor.sprite.cls, "tags": list(actor.tags), "note": actor.note}
            row["doubt"] = doubt
            if doubt:
                row["of"] = next((other["id"] for other in rows if other["key"] == (shot, k)), None)
            rows.append(row | {"boxes": self.boxes[key], "visible": self.visible[key], "key": (shot, k)})
        for row in rows:
            del row["key"]
        lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
        return f'{json.dumps(head)[:-1]}, "objects": [\n{lines}\n]}}\n'


class Sensor:
    """Noise as a camera has it: finer in luma than in chroma, a little soft, another on each frame."""

    def __init__(self, seed: int, width: int, height: int, sigma: float) -> None:
        self.rng = np.random.Generator(np.random.PCG64(seed))
        self.size = width, height
        grain = self.rng.standard_normal((height + 64, width + 64), np.float32)
        soft = cv2.GaussianBlur(grain, (0, 0), 0.6)
        self.grain = soft * np.float32(sigma / float(soft.std()))
        tint = cv2.GaussianBlur(self.rng.standard_normal((height + 64, width + 64, 3), np.float32), (0, 0), 1.2)
        self.tint = tint * np.float32(0.5 * sigma / float(tint.std()))

    def expose(self, image: Image) -> np.ndarray:
        """8-bit codes of a frame, with noise."""
        (width, height), (x, y, u, v) = self.size, self.rng.integers(0, 64, 4)
        noise = self.grain[y : y + height, x : x + width, None] + self.tint[v : v + height, u : u + width]
        return np.clip(image * np.float32(255) + noise + np.float32(0.5), 0, 255).astype(np.uint8)


def write(scene: Scene, out: Path) -> None:
    """The scene's clip and truth."""
    clip, truth, count, size = out / f"{scene.name}.mp4", Truth(scene), 0, (0, 0)
    with av.open(str(clip), "w", options={"movflags": "+faststart", "fflags": "+bitexact"}) as box:
        options = {"crf": "16", "preset": "veryfast", "threads": "1", "flags": "+bitexact"}
        video = box.add_stream("libx264", rate=scene.rate, options=options)
        for n, (image, finds) in enumerate(frames(scene)):
            if n == 0:
                size = image.shape[1], image.shape[0]
                sensor = Sensor(zlib.crc32(scene.name.encode()), *size, scene.noise)
                video.width, video.height, video.pix_fmt = *size, "yuv420p"
                video.time_base = Fraction(1, scene.rate)
                video.codec_context.colorspace = video.codec_context.color_primaries = 1
                video.codec_context.color_trc = video.codec_context.color_range = 1
            truth.add(n, finds)
            image = cv2.GaussianBlur(image, (0, 0), scene.soft) * np.float32(scene.gain)
            frame = av.VideoFrame.from_ndarray(sensor.expose(image), format="rgb24").reformat(
                format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
            )
            frame.pts, frame.time_base = n, Fraction(1, scene.rate)
            box.mux(video.encode(frame))
            count = n + 1
        box.mux(video.encode(None))
    clip.with_suffix(".json").write_text(truth.text(clip, size, count))


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, help="the development data: clips/ and train/faces-varied/")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", help="comma list of scenes")
    parser.add_argument("--list", action="store_true", help="name the scenes and end")
    args = parser.parse_args(argv)
    if args.list:
        for name, make in SCENES.items():
            print(f"{name:12} {make.__doc__}")
        return 0
    if not args.data or not args.out:
        parser.error("give --data and --out")
    names = args.only.split(",") if args.only else list(SCENES)
    unknown = [name for name in names if name not in SCENES]
    if unknown:
        parser.error(f"no scene {unknown[0]!r}; --list names them")
    args.out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    stock = Stock(args.data)
    for name in names:
        write(SCENES[name](stock), args.out)
        print(args.out / f"{name}.mp4", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
