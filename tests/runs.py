"""What the tests of whole runs share: a clip, a detector and a writer for tests, and ways to look at an output."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np

from anonfilter import filter as registry
from anonfilter.filter import PixelWriter, Sampler
from anonfilter.job import Job
from anonfilter.options import Option
from anonfilter.records import FrameRecord, Region

ZONE = "zone=x=8:y=8:w=40:h=32,fill"


class Mover(Sampler):
    """A detector that finds one moving box, on every Nth frame; fails on a frame if asked to."""

    name = "mover"
    help = "test detector"
    options = (Option("every", "int", 1, "", min=1), Option("fail", "int", -1, "fail on this frame"))

    def look(self, record: FrameRecord) -> None:
        assert self.env.ring is not None
        assert self.env.ring[record.n].planes()[0].shape == (self.env.stream.height, self.env.stream.width)
        if record.n == self.opts["fail"]:
            raise ValueError("the net fell over")
        record.ran = ("mover",)
        record.regions.append(Region((4.0 + record.n, 10.0, 44.0 + record.n, 50.0), "face", 0.9))

    def every(self) -> int:
        return int(self.opts["every"])

    def models(self) -> tuple[str, ...]:
        return ("mover",)


class Breaker(PixelWriter):
    """A pixel writer that fails on one frame."""

    name = "breaker"
    help = "test writer"
    options = (Option("at", "int", 5, ""),)

    def select(self, record: FrameRecord) -> list[Region]:
        return record.regions

    def render(self, frame: object, regions: object) -> None:
        if frame.n == self.opts["at"]:  # type: ignore[attr-defined]
            raise ValueError("kernel fell over")


@contextmanager
def known() -> Iterator[None]:
    """Both filters are known to graphs inside of the block only."""
    registry.register(Mover)
    registry.register(Breaker)
    yield
    registry.unregister(Mover)
    registry.unregister(Breaker)


def make_clip(path: Path) -> Path:
    """Two seconds of a moving pattern, 160x120, 25 fps, with audio."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", 25, options={"preset": "ultrafast", "crf": "18", "g": "10"})
        video.width, video.height, video.pix_fmt = 160, 120, "yuv420p"
        audio = out.add_stream("aac", 44100)
        x, y = np.meshgrid(np.arange(160), np.arange(120))
        for n in range(50):
            picture = np.zeros((120, 160, 3), np.uint8)
            picture[..., 0], picture[..., 1], picture[..., 2] = (
                (x + 3 * n) % 256,
                (2 * y + n) % 256,
                (x * y // 16) % 256,
            )
            frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p")
            frame.pts = n
            out.mux(video.encode(frame))
        for i in range(86):
            tone = (np.sin(np.arange(1024) / 9 + i) * 8000).astype(np.int16)
            sound = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
            sound.sample_rate, sound.pts = 44100, i * 1024
            out.mux(audio.encode(sound))
        out.mux(video.encode(None))
        out.mux(audio.encode(None))
    return path


def job(clip: Path, out: Path, graph: str, **more: object) -> Job:
    return Job(
        str(clip), str(out), graph, encoder_options={"preset": "ultrafast", "crf": "20"}, threads=1, **more
    )  # type: ignore[arg-type]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def lumas(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [f.to_ndarray()[: f.height, : f.width].copy() for f in container.decode(video=0)]


def packets(path: Path, kind: str) -> list[tuple[int | None, bytes]]:
    with av.open(str(path)) as container:
        stream = next(s for s in container.streams if s.type == kind)
        return [(p.pts, bytes(p)) for p in container.demux(stream) if p.size]
