"""Stills as an output: coded from the planes, with what nobody touched as it was."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from anonfilter.errors import OutputError
from anonfilter.frame import EDITABLE, Frame, StreamInfo, kernel_format
from anonfilter.io import bmp, demuxing, exif, jpeg, pictures, png, still, tiff, webp
from anonfilter.io.foldertarget import FolderTarget
from anonfilter.io.lavfi import LavfiGraph
from anonfilter.io.still import KINDS, Array, Still
from anonfilter.io.target import Target
from anonfilter.job import Job

# What a kind of file can hold without loss, the preferred first.
_HOLDS: dict[str, tuple[str, ...]] = {
    "png": ("gbrp", "gbrap", "gray", "gbrp16le", "gbrap16le", "gray16le"),
    "tiff": ("gbrp", "gbrap", "gray", "gbrp16le", "gbrap16le", "gray16le"),
    "bmp": ("gbrp", "gbrap", "gray"),
    "webp": ("yuv420p", "yuva420p", "gbrp", "gbrap"),
    "jpeg": ("yuvj420p", "yuvj422p", "yuvj444p", "yuvj440p", "gray"),
}
_ASKED = {"rgb24": "gbrp", "rgba": "gbrap", "ya8": "gbrap", "bgra": "gbrap"} | {
    name + order: planar
    for name, planar in {"rgb48": "gbrp16le", "rgba64": "gbrap16le", "gray16": "gray16le", "ya16": "gbrap16le"}.items()
    for order in ("le", "be")
}
_QSCALE = 2 * 118  # -q:v 2 of libavcodec's mjpeg, in its units


def formats_of(job: Job) -> list[str]:
    """Pixel formats that an output of stills can hold."""
    return list(_HOLDS[KINDS[pictures.extension(job.output)]])


def best_format(kind: str, pix_fmt: str) -> str:
    """The format of `kind` that keeps most of pix_fmt."""
    fmt = kernel_format(pix_fmt) if pix_fmt in EDITABLE else None
    alpha = pix_fmt in ("rgba", "bgra", "argb", "abgr", "ya8") or (fmt is not None and fmt.alpha)
    grey = pix_fmt.startswith(("gray", "mono")) and not alpha
    if kind in ("png", "tiff", "bmp"):
        deep = "16le" if fmt is not None and fmt.depth > 8 and kind != "bmp" else ""
        return ("gray" if grey else "gbrap" if alpha else "gbrp") + deep
    if kind == "webp":
        return "yuva420p" if alpha else "yuv420p"
    if grey:
        return "gray"
    for part in ("420", "422", "440"):
        if part in pix_fmt:
            return f"yuvj{part}p"
    return "yuvj420p" if pix_fmt.startswith(("nv", "p01")) else "yuvj444p"


class PictureWriter:
    """The stills of a run, with Writer's attributes and methods.

    reader: where the pictures are from, for colour profile and orientation; None where they are a video's. One picture
    goes to NAME.part first, numbered ones to a folder beside them; both get their names at the end. Raises OutputError.
    """

    def __init__(self, job: Job, reader: pictures.PictureReader | None) -> None:
        self.job, self._reader = job, reader
        self.dropped: list[str] = []
        self.kept: list[str] = []
        self.notes: list[str] = []
        self.frames = self.nudged = self.moved = self.repeated = self.left_out = 0
        self.quantizer = -1.0  # as Writer: none
        self.done, self._finished, self._size = False, False, 0
        self.end: Fraction | None = None
        self.kind = KINDS[pictures.extension(job.output)]
        given = [name for name in ("out_ss", "out_to", "out_t") if getattr(job, name) is not None]
        if given:
            raise OutputError(f"-{given[0][4:]} before an output of pictures: put it before -i")
        # -update 1, as ffmpeg: the name is no pattern.
        self._many = pictures.has_number(job.output) and job.muxer_options.get("update") != "1"
        self._target: Target | FolderTarget
        if self._many:
            self._target = FolderTarget(job)
        else:
            self._target = Target(job)
            if not self._target.regular:
                raise OutputError(f"{job.output}: is no file: name a file, or write a video with -f")
        try:
            self._start = int(job.muxer_options.get("start_number", 1))
        except ValueError:
            raise OutputError(f"-start_number {job.muxer_options['start_number']}: not a whole number") from None
        self._convert: LavfiGraph | None = None
        self._blocks = [0, 0]
        self._palettes = self._recoded = self._profiles = 0

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._size

    @property
    def is_file(self) -> bool:
        """Always."""
        return True

    @property
    def formats(self) -> list[str] | None:
        """Pixel formats that frames may have, the best for the source's first."""
        if self.job.pix_fmt is not None:
            return [self._wanted(self.job.pix_fmt)]
        if self._reader is None:
            return list(_HOLDS[self.kind])
        first = self._reader.info.pix_fmt
        if first not in _HOLDS[self.kind] and self._reader.first.kind != self.kind:
            first = best_format(self.kind, first)
        return list(dict.fromkeys([first, *_HOLDS[self.kind]]))

    def _wanted(self, pix_fmt: str) -> str:
        name = _ASKED.get(pix_fmt, pix_fmt)
        if name in _HOLDS[self.kind]:
            return name
        holds = ", ".join(_HOLDS[self.kind])
        raise OutputError(f"{self.job.output}: a {self.kind.upper()} of {pix_fmt} is not offered (-pix_fmt {holds})")

    def open(self, stream: StreamInfo) -> None:
        """stream: what the frames are."""
        self._in = stream
        turned = (stream.rotation, stream.hflip)
        self._orientation = exif.orientation_of(*turned)
        own = self._reader is not None and self._reader.first.kind == self.kind
        wanted = stream.pix_fmt
        if self.job.pix_fmt is not None:
            wanted = self._wanted(self.job.pix_fmt)
        elif wanted not in _HOLDS[self.kind] and not (own and self._reader and wanted == self._reader.info.pix_fmt):
            wanted = best_format(self.kind, wanted)
        if wanted != stream.pix_fmt:
            self._convert = LavfiGraph([], stream, [wanted], self.job.threads)
            if stream.pix_fmt in EDITABLE and stream.fmt.alpha and not kernel_format(wanted).alpha:
                self.dropped.append(f"alpha: {self.kind.upper()} has none")
        self._target.begin()

    def write(self, frame: Frame, stream: StreamInfo | None = None) -> bool:
        """Code one frame. False where -frames:v has had enough."""
        if self.done:
            return False
        if not self._many and self.frames:
            raise OutputError(
                f"{self.job.output}: a second picture (at {frame.t:.3f} s) has no name: number them, "
                f"as {_example(self.job.output)}, or take one with -frames:v 1"
            )
        have, want = (*frame.size, frame.av.format.name), (self._in.width, self._in.height, self._in.pix_fmt)
        if have != want:
            raise OutputError(f"{self.job.output}: the picture changes from {want} to {have} at {frame.t:.3f} s")
        source = getattr(frame.av, "opaque", None)
        if not isinstance(source, Still):
            source = None
        items = [frame] if self._convert is None else self._convert.push(frame)
        for item in items:
            data = self._coded(item, source)
            target = self._target
            if isinstance(target, FolderTarget):
                name = target.begin_file(self._name(self.frames))
            else:
                name = target.url.removeprefix("file:")
            try:
                with open(name, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                raise OutputError(f"{self.job.output}: writing failed: {error.strerror}") from error
            self._size += len(data)
            self.frames += 1
        if self.job.frames is not None and self.frames >= self.job.frames:
            self.done = True
        return True

    def _name(self, index: int) -> str:
        return os.path.basename(pictures.numbered(demuxing.path_of(self.job.output), self._start + index))

    def _coded(self, frame: Frame, source: Still | None) -> bytes:
        planes = [plane.copy() for plane in still.from_frame(frame.av)]
        pix_fmt = frame.av.format.name
        # A geometry filter in the graph makes another picture of it.
        shapes = [plane.shape for plane in planes]
        same = source is not None and source.kind == self.kind and source.pix_fmt == pix_fmt
        same = same and source is not None and source.shapes == shapes
        meta = source if source is not None else (self._reader.first if self._reader is not None else None)
        untouched = same and source is not None and still.digest(planes) == source.digest
        keep, name = self.job.keep_metadata, self.job.output
        if meta is not None and self._orientation != meta.orientation:
            keep = False  # its EXIF would say the old one
        options = dict(self.job.encoder_options)
        if self.kind == "jpeg":
            return self._jpeg(frame, planes, source if same else None, meta, keep, options)
        if not untouched and same and source is not None:
            self._palettes += source.form == "pal8"
            self._recoded += self.kind == "webp" and source.form != "lossless"
        if self.kind == "png":
            return png.write(None if untouched else planes, meta, self._orientation, keep, options, name)
        if self.kind == "webp":
            return webp.write(None if untouched else planes, meta, self._orientation, keep, options, name, pix_fmt)
        if self.kind == "bmp":
            self._profiles += meta is not None and meta.icc is not None
            return bmp.write(planes, self._orientation, name)
        return tiff.write(planes, meta, self._orientation, name)

    def _jpeg(
        self,
        frame: Frame,
        planes: Sequence[Array],
        source: Still | None,
        meta: Still | None,
        keep: bool,
        options: dict[str, str],
    ) -> bytes:
        if source is not None and not options:
            data, changed, total = jpeg.edited(replace(source, orientation=self._orientation), planes, keep)
            self._blocks[0] += changed
            self._blocks[1] += total
            return data
        if frame.av.format.name == "gbrp":
            raise OutputError(f"{self.job.output}: JPEG of RGB is written only from one, without encoder options")
        settings = {"flags": "+qscale", "global_quality": str(_QSCALE), **options}
        coded = still.encode("mjpeg", still.to_frame(planes, frame.av.format.name), settings, self.job.output)
        return jpeg.assemble(coded, meta, keep, len(coded), self._orientation)

    def mux(self, packet: Any) -> None:
        """Stills have no sound."""

    def finish(self) -> int:
        """Give the files their names. Returns their size in bytes."""
        try:
            for frame in [] if self._convert is None else self._convert.flush():
                raise OutputError(f"{self.job.output}: the conversion held back the frame at {frame.t:.3f} s")
            if not self.frames:
                raise OutputError(f"{self.job.output}: no frame came out of the graph: nothing is written")
            self._target.commit()
        except BaseException:
            self.abort()
            raise
        self._finished = True
        if self.job.log is not None:
            self._tell(self.job.log)
        return self._size

    def _tell(self, log: Any) -> None:
        if self._blocks[1]:
            log("info", "{} of {} JPEG blocks were coded anew, the others are as they were".format(*self._blocks))
        if self._palettes:
            log("info", "a palette cannot hold the new colours: written as RGB")
        if self._profiles:
            log("warning", "a BMP holds no colour profile: it was left out")
        if self._recoded:
            log("info", f"lossy WebP was coded anew with quality {webp.QUALITY} where a picture was touched")

    def abort(self) -> None:
        """Leave nothing behind. Does nothing after finish(); never raises."""
        if not self._finished:
            self._finished = True
            with contextlib.suppress(Exception):
                self._target.discard()


def _example(name: str) -> str:
    base, ending = os.path.splitext(name)
    return f"{base}%04d{ending}"
