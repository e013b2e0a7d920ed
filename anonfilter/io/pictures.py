"""Stills as an input: one file, numbered files or a glob, as frames whose planes are the file's own samples.

libavcodec decodes PNG, WebP and TIFF; JPEG comes from its coefficients (csrc/jpeg.cpp), so that the writer can put
back what nobody touched.
"""

from __future__ import annotations

import glob
import hashlib
import itertools
import math
import os
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

from anonfilter.errors import InputError
from anonfilter.frame import Frame, StreamInfo, kernel_format
from anonfilter.io import bmp, demuxing, exif, jpeg, png, still, tiff, webp
from anonfilter.io.still import KINDS, Still
from anonfilter.job import Job
from anonfilter.values import parse_rate

_READERS = {"png": png.read, "jpeg": jpeg.read, "webp": webp.read, "tiff": tiff.read, "bmp": bmp.read}
_NUMBER = re.compile(r"%(?:0?(\d+))?d")
_CENTRE = 2  # AVCHROMA_LOC_CENTER
_FULL, _LIMITED = 2, 1  # AVColorRange


def extension(name: str) -> str:
    """A name's extension, lower case, without the dot."""
    return os.path.splitext(name)[1][1:].lower()


def has_number(name: str) -> bool:
    """Whether a name is a pattern of numbered files: it holds %d or %04d, once."""
    return len(_NUMBER.findall(name)) == 1


def numbered(pattern: str, number: int) -> str:
    """The name with that number; %% is a percent sign."""
    match = _NUMBER.search(pattern)
    assert match is not None
    digits = str(number).rjust(int(match[1] or 0), "0")
    return (pattern[: match.start()] + digits + pattern[match.end() :]).replace("%%", "%")


def reads(job: Job) -> bool:
    """Whether the job's input is stills, which this module reads. Raises InputError for a file that nobody may read."""
    if job.input_format not in (None, "image2") or demuxing.is_url(job.input):
        return False
    path = demuxing.path_of(job.input)
    if job.input_options.get("pattern_type") in ("glob", "sequence"):
        return extension(path) in KINDS or job.input_options["pattern_type"] == "glob"
    if os.path.isfile(path):
        try:
            with open(path, "rb") as file:
                kind = still.kind_of(file.read(16))
        except OSError as error:
            raise InputError(f"{job.input}: {error.strerror or error}") from error
        # Many raw formats of cameras are TIFF files, whose first picture is a thumbnail: by the name alone. A stream
        # of JPEG pictures is a video.
        other = kind == "tiff" or extension(path) in ("mjpeg", "mjpg")
        return bool(kind) and (extension(path) in KINDS or not other)
    return extension(path) in KINDS and has_number(path)


def writes(job: Job) -> bool:
    """Whether the job's output is stills."""
    if job.output_format not in (None, "image2") or demuxing.is_url(job.output):
        return False
    return extension(job.output) in KINDS


def files(job: Job) -> list[str]:
    """The input's files in order. Raises InputError where there is none, or a number is missing between others."""
    path, options = demuxing.path_of(job.input), job.input_options
    kind = options.get("pattern_type", "none" if os.path.isfile(path) else "sequence")
    if kind == "glob":
        found = sorted(name for name in glob.glob(path) if os.path.isfile(name))
        if not found:
            raise InputError(f"{job.input}: no file matches")
        return found
    if kind == "none" or not has_number(path):
        if not os.path.isfile(path):
            raise InputError(f"{job.input}: No such file or directory")
        return [path]
    start, reach = _integer(job, "start_number", 0), _integer(job, "start_number_range", 5)
    first = next((n for n in range(start, start + max(1, reach)) if os.path.isfile(numbered(path, n))), None)
    if first is None:
        raise InputError(
            f"{job.input}: Could find no file with path '{job.input}' and index in the range {start}-"
            f"{start + max(1, reach) - 1} (-start_number says where they begin)"
        )
    found = []
    while os.path.isfile(name := numbered(path, first + len(found))):
        found.append(name)
    gap = first + len(found)
    later = [n for n in range(gap + 1, gap + 101) if os.path.isfile(numbered(path, n))]
    if later and not job.ignore_errors:
        raise InputError(
            f"{job.input}: {numbered(path, gap)} is missing, and {numbered(path, later[0])} is there "
            "(-err_detect ignore_err ends at the gap)"
        )
    return found


def _integer(job: Job, name: str, default: int) -> int:
    try:
        return int(job.input_options.get(name, default))
    except ValueError:
        raise InputError(f"-{name} {job.input_options[name]}: not a whole number") from None


def load(path: str, ignore_errors: bool = False) -> Still:
    """Read one still. Raises InputError."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    reader = _READERS.get(still.kind_of(data))
    if reader is None:
        raise InputError(f"{path}: " + ("not a PNG, JPEG, WebP, TIFF or BMP picture" if data else "the file is empty"))
    return reader(data, path, ignore_errors)


class PictureReader:
    """Stills as reader.Reader gives a video: the same attributes and methods, no streams to copy.

    Each frame's av.opaque is its Still (without planes). Raises InputError, one line.
    """

    def __init__(self, job: Job) -> None:
        self.job, self.name = job, job.input
        self.corrupt = self.errors = self.undecodable = self.absent = 0
        self.missing, self.notes = 0.0, list[str]()
        self.dropped: list[str] = []
        self.shift = Fraction(0)
        self.container = self.video = None
        self.copied: list[Any] = []
        self._hash, self._ended = hashlib.sha256(), False
        names = files(job)
        rate = job.input_options.get("framerate") or job.input_rate or "25"
        try:
            self._rate = Fraction(parse_rate(rate))
        except ValueError as error:
            raise InputError(f"-framerate {rate}: {error}") from None
        names = self._again(names)
        if len(names) > 1:
            names = self._asked(names)
        self._names = names
        self.first = load(names[0], job.ignore_errors)
        self.info = self._info(self.first, len(names))

    def _again(self, names: list[str]) -> list[str]:
        """-stream_loop and image2's -loop 1: the pictures as often as they are asked for."""
        job = self.job
        if job.display_rotation is not None or any(job.display_flips):
            raise InputError(f"{self.name}: -display_rotation is for videos: put transpose, hflip or vflip into -vf")
        turns = -1 if job.input_options.get("loop", "0") not in ("0", "false") else job.stream_loop
        if turns >= 0:
            return names * (turns + 1)
        ends = [job.t, job.to, job.out_to, None if job.out_t is None else job.out_t + (job.out_ss or 0)]
        counts = [math.ceil(seconds * self._rate) + 1 for seconds in ends if seconds is not None]
        counts += [] if job.frames is None else [job.frames]
        if not counts:
            raise InputError(f"{self.name}: pictures that are shown again without an end need -t")
        return list(itertools.islice(itertools.cycle(names), max(counts)))

    def _asked(self, names: Sequence[str]) -> list[str]:
        """-ss, -t and -to before -i."""
        job = self.job
        start = Fraction(job.ss or 0).limit_denominator(1_000_000)
        stop = None if job.to is None else Fraction(job.to).limit_denominator(1_000_000)
        if job.t is not None:
            stop = start + Fraction(job.t).limit_denominator(1_000_000)
        kept = [x for n, x in enumerate(names) if start <= n / self._rate and (stop is None or n / self._rate < stop)]
        if not kept:
            raise InputError(f"{self.name}: -ss, -to or -t leaves nothing of the {len(names)} pictures")
        return kept

    def _info(self, picture: Still, count: int) -> StreamInfo:
        width, height = picture.size
        rotation, hflip = exif.ORIENTATIONS[picture.orientation if self.job.autorotate else 1]
        fmt = kernel_format(picture.pix_fmt)
        # As the video lane: JFIF and VP8 are BT.601; grey says nothing.
        space = still.GBR if fmt.rgb else (still.YUV if fmt.chroma else still.GREY)
        return StreamInfo(
            width, height, picture.pix_fmt, 1 / self._rate, self._rate, self._rate, Fraction(1), rotation, hflip,
            exif.matrix(rotation, hflip), color_space=space, color_range=_FULL if picture.full_range else _LIMITED,
            chroma_location=_CENTRE if picture.kind == "jpeg" and fmt.chroma and not fmt.rgb else 0,
            frames=count, duration=float(count / self._rate),
        )  # fmt: skip

    def frames(self) -> Iterator[Frame]:
        """Frames in order. Can be used once. Raises InputError where one is not as the first."""
        told: dict[str, int] = {}
        for n, name in enumerate(self._names):
            picture = self.first if n == 0 else load(name, self.job.ignore_errors)
            self._check(picture)
            self._hash.update(picture.data)
            for line in picture.dropped if not self.job.keep_metadata else ():
                told[line] = told.get(line, 0) + 1
            made = still.to_frame(picture.planes, picture.pix_fmt)
            made.pts, made.time_base = n, 1 / self._rate
            made.colorspace, made.color_range = self.info.color_space, self.info.color_range
            picture.planes = []
            made.opaque = picture
            yield Frame(n, n, float(n / self._rate), made)
        many = len(self._names) > 1
        self.dropped += [f"{line} ({count} pictures)" if many else line for line, count in told.items()]
        self._ended = True

    def _check(self, picture: Still) -> None:
        have, want = (*picture.size, picture.pix_fmt), (self.info.width, self.info.height, self.info.pix_fmt)
        if have != want or picture.orientation != self.first.orientation:
            raise InputError(
                f"{picture.name}: is {have[0]}x{have[1]} {have[2]} with orientation {picture.orientation}, the first "
                f"picture {want[0]}x{want[1]} {want[2]} with {self.first.orientation}: put pictures of different kinds "
                "into a folder and name the folder with -i"
            )

    def fingerprint(self) -> str:
        """sha256 over the files, in hexadecimal. Raises InputError before the end."""
        if not self._ended:
            raise InputError(f"{self.name}: the fingerprint is known only at the end of the input")
        return self._hash.hexdigest()

    def close(self) -> None:
        """Nothing is held open."""
