"""Choosing and opening an encoder, with errors before the first frame."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av
import av.codec
import av.error
import av.format
import av.logging
from av.codec.codec import UnknownCodecError
from av.container import OutputContainer
from av.video.stream import VideoStream

from anonfilter.errors import OutputError
from anonfilter.frame import StreamInfo
from anonfilter.io import hdr, logs, quantizer
from anonfilter.io.streams import CHROMA_LOCATIONS
from anonfilter.job import Job
from anonfilter.values import hint

# Muxers that write a name of their own for every picture or piece.
_MANY_FILES = frozenset({"image2", "segment", "stream_segment", "ssegment", "hls", "dash", "tee", "webm_chunk", "fifo"})

_FORMATS = ("mp4", "mov", "matroska", "webm", "mpegts", "avi", "nut", "null", "rawvideo", "yuv4mpegpipe", "image2")
"""Names of -f that people mean when they mistype one."""

# Containers whose frames have no time of their own: one frame is one tick of the rate.
_CONSTANT_RATE = frozenset({"avi", "gxf", "mxf", "mxf_d10", "mxf_opatom", "yuv4mpegpipe"})

# Where ffmpeg's default would lose something: MPEG-2 counts frames, and times that it cannot count would move.
_OWN_DEFAULTS = {"mpegts": "libx264"}

# The same samples in another order, so that no user needs to be asked.
_SAME_SAMPLES = {
    "nv12": ("yuv420p",), "nv21": ("yuv420p",), "p010le": ("yuv420p10le",), "p210le": ("yuv422p10le",),
    "p410le": ("yuv444p10le",), "nv16": ("yuv422p",), "nv24": ("yuv444p",), "yuv420p": ("nv12",),
    "yuv420p10le": ("p010le",), "yuvj420p": ("yuv420p", "nv12"),
    "yuvj422p": ("yuv422p",), "yuvj444p": ("yuv444p",), "gbrp": ("bgr0", "rgb24", "bgr24", "rgb0"),
    "gbrap": ("rgba", "bgra"),
}  # fmt: skip

# Encoders to name when the chosen one cannot; the flag says whether odd sizes of subsampled formats work.
_OTHERS = (
    ("libx264", False), ("libx265", False), ("libsvtav1", True), ("libvpx-vp9", True), ("prores_ks", False),
    ("ffv1", True),
)  # fmt: skip

_PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo",
)  # fmt: skip
# x264_preset_names and its kin, for x264 alone: x265's words differ between versions.
_WORDS = {
    "libx264": {
        "preset": _PRESETS,
        "tune": ("film", "animation", "grain", "stillimage", "psnr", "ssim", "fastdecode", "zerolatency", "touhou"),
        "profile": ("baseline", "main", "high", "high10", "high422", "high444"),
    },
}

# Codecs whose encoders leave their name out when they are asked to be exact.
_SIGN = frozenset({"mpeg4", "msmpeg4v2", "msmpeg4v3", "mjpeg", "prores", "h263", "flv1"})

_LIMITED, _FULL = 1, 2  # AVColorRange
_GBR, _BT601 = 0, 6  # AVColorSpace: RGB, SMPTE 170M

_DEFAULT_TOLERANCE = 4_000_000  # AVCodecContext's bit_rate_tolerance, which PyAV replaces by its own


def muxer(job: Job, url: str) -> str:
    """Name of the muxer that -f or the output's name asks for. Raises OutputError."""
    try:
        if job.output_format is not None:
            name = str(av.format.ContainerFormat(job.output_format, "w").name)
        else:
            # Nothing is opened or created here: PyAV opens the file with the header.
            name = str(av.open(url, "w").format.name)
    except ValueError as error:
        if job.output_format is not None:
            raise OutputError(
                f"-f: unknown output format '{job.output_format}'{hint(job.output_format, _FORMATS)}"
            ) from error
        raise OutputError(
            f"{job.output}: no container format goes by this name: use .mp4, .mkv, .mov, .webm ..., or name one with -f"
        ) from error
    if name in _MANY_FILES:
        if name == "image2":
            form = os.path.splitext(job.output)[1][1:].lower() or name
            raise OutputError(
                f"{job.output}: pictures are written as PNG, JPEG, WebP, TIFF or BMP, not {form}: name it .png, say"
            )
        raise OutputError(
            f"{job.output}: the format '{name}' writes more than one file, which cannot be kept back until all is "
            "done: write .mp4 or .mkv, and cut that with ffmpeg -c copy"
        )
    return name


def encoder(job: Job, muxer_name: str) -> av.codec.Codec:
    """The encoder of -c:v, or the default for the container: ffmpeg's but for _OWN_DEFAULTS. Raises OutputError."""
    name = job.codec
    if name in ("copy", "none"):
        raise OutputError("-c:v copy: the pictures are changed and must be encoded")
    if name is None:
        name = _OWN_DEFAULTS.get(muxer_name, "")
        if name not in av.codec.codecs_available:
            name = str(av.open("x", "w", format=muxer_name).default_video_codec)
        if name in ("none", "unknown_codec"):
            raise OutputError(f"{job.output}: the format '{muxer_name}' holds no video")
    try:
        codec = av.codec.Codec(name, "w")
    except (UnknownCodecError, RuntimeError) as error:
        raise unknown_encoder("-c:v", name, "video", ("libx264", "libx265", "libsvtav1", "libvpx-vp9")) from error
    if codec.type != "video":
        raise OutputError(f"-c:v {name}: is no video encoder (use libx264, libx265, libsvtav1 ...)")
    return codec


def unknown_encoder(option: str, name: str, kind: str, usual: Sequence[str]) -> OutputError:
    """The line for an encoder that is not there: the option, and the nearest name or the usual ones. kind: "video" or
    "audio"."""
    known = []
    for other in difflib.get_close_matches(name, sorted(av.codec.codecs_available), 5, 0.6):
        with contextlib.suppress(UnknownCodecError, RuntimeError):
            known += [other] if av.codec.Codec(other, "w").type == kind else []
    usual = [other for other in usual if other in av.codec.codecs_available]
    known.sort(key=lambda other: other not in usual)  # the one that most people mean
    instead = f"did you mean '{known[0]}'?" if known else f"use {', '.join(usual)} ..."
    return OutputError(f"{option} {name}: Unknown encoder '{name}' ({instead})")


def formats(codec: av.codec.Codec) -> list[str] | None:
    """Pixel formats that an encoder takes, by libavutil name; None if it does not say."""
    found = codec.video_formats
    return [item.name for item in found] if found else None


def output_formats(job: Job, pix_fmt: str, url: str = "") -> list[str] | None:
    """What the last libavfilter filter may hand to the encoder: -pix_fmt, else what the encoder takes, the
    format that arrives first. None if anything goes. Raises OutputError as muxer() and encoder() do."""
    if job.pix_fmt is not None:
        return [job.pix_fmt]
    taken = formats(encoder(job, muxer(job, url or job.output)))
    if taken is None:
        return None
    return [pix_fmt, *(name for name in taken if name != pix_fmt)] if pix_fmt in taken else taken


def choose_format(job: Job, codec: av.codec.Codec, stream: StreamInfo, held: set[str]) -> str:
    """Pixel format to encode: -pix_fmt, else the stream's own; RGB where the encoder has none becomes what loses least,
    as with ffmpeg. Raises OutputError, naming what to do, if the encoder does not take it. held: names of the codecs
    that the container holds."""
    taken = formats(codec)
    wanted = job.pix_fmt or stream.pix_fmt
    if job.pix_fmt is not None:
        try:
            av.VideoFormat(job.pix_fmt, 16, 16)
        except ValueError as error:
            raise OutputError(
                f"-pix_fmt: unknown pixel format '{job.pix_fmt}'{hint(job.pix_fmt, [*_SAME_SAMPLES, *(taken or ())])}"
            ) from error
    if taken is None or wanted in taken:
        return wanted
    if job.pix_fmt is None:
        for same in _SAME_SAMPLES.get(wanted, ()):
            if same in taken:
                return same
        if is_rgb(wanted):
            return nearest(wanted, taken)
    able = able_encoders(wanted, stream.width, stream.height, held)
    remedy = f"choose {' or '.join('-c:v ' + name for name in able)}, or " if able else _with_alpha(wanted, held)
    raise OutputError(
        f"encoder {codec.name} does not take pixel format {wanted}: {remedy}"
        f"convert with -pix_fmt {nearest(wanted, taken)}"
    )


def is_rgb(pix_fmt: str) -> bool:
    """Whether a pixel format holds red, green and blue."""
    return bool(av.VideoFormat(pix_fmt, 16, 16).is_rgb)


def has_alpha(pix_fmt: str) -> bool:
    """Whether an RGB format has alpha, too."""
    return len(av.VideoFormat(pix_fmt, 16, 16).components) == 4


def converted(source: StreamInfo, out: StreamInfo) -> StreamInfo:
    """out, whose pictures libswscale made from those of source, with the colour tags that are then true: between RGB
    and YUV it uses BT.601's matrix, and full range for RGB alone (and the yuvj formats)."""
    if is_rgb(source.pix_fmt) == is_rgb(out.pix_fmt):
        return replace(out, color_range=source.color_range)
    if is_rgb(out.pix_fmt):
        return replace(out, color_range=_FULL, color_space=_GBR)
    return replace(out, color_range=_FULL if out.pix_fmt.startswith("yuvj") else _LIMITED, color_space=_BT601)


def _with_alpha(pix_fmt: str, held: set[str]) -> str:
    """What keeps the alpha plane of a format that no encoder takes as it is, as a part of a sentence."""
    if not pix_fmt.startswith("yuva"):
        return ""
    known: dict[str, str] = {}
    for name, _ in _OTHERS:
        if name in av.codec.codecs_available:
            codec = av.codec.Codec(name, "w")
            if held & {name, codec.canonical_name}:
                known = {form: name for form in formats(codec) or [] if form.startswith("yuva")} | known
    if not known:
        return ""
    best = nearest(pix_fmt, list(known))
    return f"choose -c:v {known[best]} -pix_fmt {best}, or without its alpha "


def able_encoders(pix_fmt: str, width: int, height: int, held: set[str]) -> list[str]:
    """Encoders that take pictures of this format and size, of those in a container that holds codecs
    `held`."""
    odd = is_odd(pix_fmt, width, height)
    able = []
    for name, takes_odd in _OTHERS:
        if name not in av.codec.codecs_available or (odd and not takes_odd):
            continue
        codec = av.codec.Codec(name, "w")
        known = formats(codec) or []
        if pix_fmt in known and held & {name, codec.canonical_name}:
            able.append(name)
    return able


def is_odd(pix_fmt: str, width: int, height: int) -> bool:
    """Whether the last column or row has chroma samples that lie half outside the picture."""
    chroma = [c for c in av.VideoFormat(pix_fmt, 16, 16).components if c.is_chroma]
    return any((width * c.width) % 16 or (height * c.height) % 16 for c in chroma)


def nearest(pix_fmt: str, taken: Sequence[str]) -> str:
    """Of the formats `taken` the one that loses least."""
    source = av.VideoFormat(pix_fmt, 16, 16)

    def loss(name: str) -> tuple[int, int, int]:
        other = av.VideoFormat(name, 16, 16)
        bits = abs(other.components[0].bits - source.components[0].bits)
        area = abs(_chroma_area(other) - _chroma_area(source))
        return (bool(other.is_rgb) != bool(source.is_rgb), area, bits)

    return min(taken, key=loss)


def _chroma_area(shape: av.VideoFormat) -> int:
    return sum(c.width * c.height for c in shape.components if c.is_chroma)


def clock(codec: av.codec.Codec, muxer_name: str, stream: StreamInfo) -> Fraction:
    """Time base of the encoder: the stream's own, so that pts stay exact, unless encoder or container
    cannot."""
    coarse = codec.name in ("mpeg4", "msmpeg4", "msmpeg4v2") and stream.time_base.denominator > 65535
    if coarse or codec.name in ("mpeg1video", "mpeg2video") or muxer_name in _CONSTANT_RATE:
        return 1 / stream.average_rate
    return stream.time_base


def open_encoder(
    container: OutputContainer, codec: av.codec.Codec, job: Job, stream: StreamInfo, time_base: Fraction
) -> tuple[VideoStream, dict[str, str]]:
    """Add a video stream and open its encoder; gives the stream and the options that the encoder does not
    know.

    Raises OutputError, one line, naming the option where an option is at fault.
    """
    defaults = av.codec.CodecContext.create(codec.name, "w")
    try:
        video: Any = container.add_stream(
            codec.name,
            rate=stream.average_rate,
            time_base=time_base,
            width=stream.width,
            height=stream.height,
            bit_rate=defaults.bit_rate or 0,
            bit_rate_tolerance=_DEFAULT_TOLERANCE,
        )
    except ValueError as error:
        raise OutputError(
            f"{job.output}: the format '{container.format.name}' does not hold {codec.name} video"
        ) from error
    context = video.codec_context
    if stream.hdr is not None:
        hdr.attach(video, stream.hdr)
        # It takes the place of these, too.
        context.width, context.height, context.framerate = stream.width, stream.height, stream.average_rate
        context.time_base, context.bit_rate = time_base, defaults.bit_rate or 0
    context.pix_fmt = stream.pix_fmt
    context.sample_aspect_ratio = stream.sar
    context.color_range = stream.color_range
    context.colorspace = stream.color_space
    context.color_primaries = stream.color_primaries
    context.color_trc = stream.color_trc
    # PyAV's default is slices: x264 is then slower and its files are larger.
    context.thread_type = "AUTO"
    context.thread_count = job.threads
    context.flags |= int(av.codec.context.Flags.frame_duration)
    options = dict(job.encoder_options)
    if job.encoding_pass:
        _pass(codec.name, options, job)
    _own_options(context, options, job.typed)
    quantizer.fix(codec.name, options)
    _quiet(codec.name, options)
    if stream.hdr is not None:
        hdr.add_parameters(codec.name, stream.hdr, options)
    if not job.keep_metadata:
        _unsigned(codec, context, options)
    if stream.chroma_location:
        options.setdefault("chroma_sample_location", CHROMA_LOCATIONS[stream.chroma_location])
    context.options = options
    _known_words(codec.name, options, job.typed)
    with logs.captured(av.logging.WARNING) as said:
        try:
            context.open()
        except (av.error.FFmpegError, ValueError) as error:
            raise _refused(codec, job, stream, options, error, said, container) from error
    if job.log is not None:
        for _, speaker, text in said:
            job.log("warning", f"{speaker}: {text.strip()}")
    return video, dict(context.options)


def _pass(encoder: str, options: dict[str, str], job: Job) -> None:
    """-pass and -passlogfile. Only x264 reads and writes the statistics itself, where they can be reached from here."""
    if encoder == "wrapped_avframe":
        raise OutputError(f"-pass {job.encoding_pass}: -f null encodes nothing by itself: add -c:v libx264")
    if encoder != "libx264":
        more = f" (or -x265-params pass={job.encoding_pass}:stats=FILE)" if encoder == "libx265" else ""
        raise OutputError(
            f"-pass {job.encoding_pass}: two passes work with libx264, not {encoder}: use -crf, or -b:v in one pass"
            + more
        )
    for number in (1, 2):
        if job.encoding_pass & number:
            options["flags"] = f"{options.get('flags', '')}+pass{number}"
    name = f"{job.pass_file}-0.log"  # of the output's first video, as ffmpeg
    if job.encoding_pass & 2 and not os.path.isfile(name):
        raise OutputError(f"-pass {job.encoding_pass}: {name}: No such file: run -pass 1 first (-passlogfile names it)")
    options.setdefault("stats", name)


def first_pass(job: Job) -> int | None:
    """How many pictures the first pass had, for the second; None without one. x264 reads behind the end of its tables
    for one more."""
    if not job.encoding_pass & 2:
        return None
    with open(f"{job.pass_file}-0.log", errors="replace") as log:
        return sum(line.startswith("in:") for line in log)


def _quiet(encoder: str, options: dict[str, str]) -> None:
    """Keep encoders that write to stderr by themselves from telling more than warnings."""
    if encoder == "libx265":
        _parameter(options, "x265-params", "log-level", "warning")
    elif encoder == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "1")


def _unsigned(codec: av.codec.Codec, context: Any, options: dict[str, str]) -> None:
    """Keep an encoder from writing its name, version and settings into the bitstream, where it can be told."""
    if codec.name == "libx265":
        _parameter(options, "x265-params", "info", "0")
    elif codec.name == "prores_ks":
        options.setdefault("vendor", "apl0")  # what most files have; its own is its library's name
    elif codec.canonical_name in _SIGN:
        context.flags |= int(av.codec.context.Flags.bitexact)


def _parameter(options: dict[str, str], option: str, name: str, value: str) -> None:
    """Add one of an encoder's own parameters unless the user gave it."""
    given = options.get(option, "")
    if name not in {part.partition("=")[0] for part in given.split(":")}:
        options[option] = f"{given}:{name}={value}".lstrip(":")


def _known_words(encoder: str, options: dict[str, str], typed: dict[str, str]) -> None:
    """Raise OutputError for a word that x264 does not know. It would say so itself straight to stderr, in a line of its
    own. Capitals are the same to it. typed: see Job."""
    for name, words in _WORDS.get(encoder, {}).items():
        value = options.get(name)
        if value is None or (name == "preset" and value.isdecimal()):
            continue
        for word in re.split(r"[,./\-+]", value) if name == "tune" else [value]:
            if word.lower() not in words:
                raise OutputError(
                    f"-{typed.get(name, name)} {value}: encoder {encoder} does not know this {name} "
                    f"(it has {', '.join(words)})"
                )


def _own_options(context: Any, options: dict[str, str], typed: dict[str, str]) -> None:
    """Options that are ffmpeg's own and no AVOption: quality and tag."""
    for name in ("q", "qscale"):
        if name in options:
            value = options.pop(name)
            try:
                options["global_quality"] = str(round(float(value) * 118))
                options["flags"] = options.get("flags", "") + "+qscale"
            except ValueError:
                raise OutputError(f"-{typed.get(name, name)} {value}: not a number") from None
    if "tag" in options:
        value = options.pop("tag")
        if len(value) != 4 or not value.isascii():
            raise OutputError(f"-{typed.get('tag', 'tag')} {value}: a tag is four characters (such as hvc1)")
        context.codec_tag = value


def _refused(
    codec: av.codec.Codec,
    job: Job,
    stream: StreamInfo,
    options: dict[str, str],
    error: Exception,
    said: Sequence[logs.Message],
    container: OutputContainer,
) -> OutputError:
    """The line for an encoder that did not open."""
    texts = logs.errors(said)
    for name, value in options.items():
        shown = f"-{job.typed.get(name, name)} {value}"
        for text in texts:
            if f"option {name} to value" in text or f'"{name}" option value' in text:
                return OutputError(f"{shown}: encoder {codec.name} does not take this value ({text.rstrip('.')})")
        if name in ("preset", "tune", "profile", "level") and any(
            f"{name}" in text and value in text for text in texts
        ):
            return OutputError(f"{shown}: encoder {codec.name} does not know this {name}")
    able = able_encoders(stream.pix_fmt, stream.width, stream.height, container.supported_codecs)
    able = [name for name in able if name != codec.name]
    remedy = ""
    if able and is_odd(stream.pix_fmt, stream.width, stream.height):
        remedy = f"; {' or '.join('-c:v ' + name for name in able)} can"
    return OutputError(
        f"cannot open encoder {codec.name} for {stream.width}x{stream.height} {stream.pix_fmt}: "
        f"{logs.reason(error, said)}{remedy}"
    )
