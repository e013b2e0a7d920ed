"""The values of the command line's options, read and checked as ffmpeg does. Every parser raises ValueError with the
whole line that goes behind the option's name, in ffmpeg's words where it has some."""

from __future__ import annotations

from anonfilter.errors import GraphError, UsageError
from anonfilter.values import hint, parse_rate, parse_size, parse_time

LOG_LEVELS = {
    "quiet": -8, "panic": 0, "fatal": 8, "error": 16, "warning": 24, "info": 32, "verbose": 40, "debug": 48,
    "trace": 56,
}  # fmt: skip
_LOG_FLAGS = ("repeat", "level", "time", "datetime")
_HWACCELS = (
    "none", "auto", "cuda", "cuvid", "nvdec", "vaapi", "vdpau", "qsv", "drm", "opencl", "vulkan", "videotoolbox",
    "dxva2", "d3d11va", "d3d12va", "mediacodec", "amf", "rkmpp",
)  # fmt: skip
_FPS_MODES = {"-1": "auto", "0": "passthrough", "1": "cfr", "2": "vfr"}  # the numbers are -vsync's


def seconds(text: str) -> float:
    """A time or a duration that is not negative, in seconds."""
    value = parse_time(text)
    if value < 0:
        raise ValueError(f"'{text}' is negative")
    return value


def start(text: str) -> float:
    """Where to start, in seconds; a negative one moves the output's times back, as in ffmpeg."""
    return parse_time(text)


def limit(text: str) -> int:
    """Bytes, as ffmpeg reads a number: 10M, 1.5G, 64Ki; a B behind it means bytes as eight bits each (10MB is 80M)."""
    from anonfilter.expr import evaluate

    try:
        size = evaluate(text)
    except GraphError:
        size = float("nan")
    if not 1 <= size < 2**63:
        raise ValueError(f"'{text}' is not a size in bytes (use 500000, 10M or 1G)")
    return int(size)


def loops(text: str) -> int:
    """A whole number from -1."""
    if text == "-1":
        return -1
    return count(text)


def quarter(text: str) -> float:
    """Degrees, whole quarter turns."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"'{text}' is not a number of degrees") from None
    if value % 90:
        raise ValueError(f"'{text}': whole quarter turns can be displayed (90, 180, 270): put rotate into -vf")
    return value % 360


def key_frames(text: str) -> str:
    """-force_key_frames, checked and given back as written."""
    from anonfilter.io.keyframes import KeyFrames

    KeyFrames(text)
    return text


def encoding_pass(text: str) -> int:
    """1, 2, or 3 (a second pass that writes anew)."""
    if text not in ("1", "2", "3"):
        raise ValueError(f"'{text}' is not 1, 2 or 3")
    return int(text)


def hwaccel(text: str) -> str:
    """The name of a way to decode on a device."""
    if text not in _HWACCELS:
        raise ValueError(f"Unrecognized hwaccel: {text}. (it has {', '.join(_HWACCELS)}; leave it out)")
    return text


def disposition(text: str) -> str:
    """Flags of a disposition, checked and given back as written."""
    from anonfilter.streamspec import changed_disposition

    try:
        changed_disposition(0, text)
    except UsageError as error:
        raise ValueError(str(error)) from None
    return text


def before_end(text: str) -> float:
    """A time before the end of the file (-sseof), in seconds, negative."""
    value = parse_time(text)
    if value >= 0:
        raise ValueError(f"'{text}' is not negative: it counts back from the end of the file, as in -sseof -10")
    return value


def count(text: str) -> int:
    """A whole number from 0."""
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"'{text}' is not a whole number from 0")
    return int(text)


def frames(text: str) -> int:
    """A whole number from 1."""
    if not text.isascii() or not text.isdigit() or not int(text):
        raise ValueError(f"'{text}' is not a whole number from 1")
    return int(text)


def threads(text: str) -> int:
    """A number of threads; auto is 0."""
    return 0 if text == "auto" else count(text)


def passes(text: str) -> int:
    """1 or 2."""
    if text not in ("1", "2"):
        raise ValueError(f"'{text}' is not 1 or 2")
    return int(text)


def kernels(text: str) -> str:
    """Which GPU kernels."""
    if text not in ("triton", "cuda"):
        raise ValueError(f"'{text}' is not triton or cuda")
    return text


def parse_bytes(text: str) -> int:
    """Bytes with ffmpeg's suffixes: 512M, 1.5G (powers of ten), 1Gi (of two); a last B is allowed."""
    from anonfilter.expr import evaluate

    try:
        size = evaluate(text.removesuffix("B"))
    except GraphError:
        size = float("nan")
    if not 0 < size < 2**63:
        raise ValueError(f"'{text}' is not a size in bytes (use 512M or 2Gi)")
    return int(size)


def log_level(text: str) -> tuple[int | None, frozenset[str]]:
    """[flags+]level as ffmpeg's: the level (None: as it was) and the flags, such as level+verbose."""
    parts = text.strip("+").split("+")
    names = frozenset(part for part in parts[:-1] if part)
    last = parts[-1]
    if last in _LOG_FLAGS:
        names, last = names | {last}, ""
    for name in names:
        if name.removeprefix("-") not in _LOG_FLAGS:
            raise ValueError(f"'{name}' is not a flag (use {', '.join(_LOG_FLAGS)}){hint(name, _LOG_FLAGS)}")
    if not last or last in LOG_LEVELS:
        return (LOG_LEVELS[last] if last else None), names
    try:
        return int(last), names
    except ValueError:
        words = ", ".join(LOG_LEVELS)
        raise ValueError(f"'{last}' is not a level (use {words}){hint(last, LOG_LEVELS)}") from None


def ignore_err(text: str) -> bool:
    """-err_detect's only value that means something here."""
    if text.lstrip("+") != "ignore_err":
        raise ValueError(f"'{text}' is not offered (only ignore_err)")
    return True


def rate(text: str) -> str:
    """A frame rate, checked and given back as written."""
    parse_rate(text)
    return text


def size(text: str) -> str:
    """A picture size, checked and given back as written."""
    parse_size(text)
    return text


def aspect(text: str) -> str:
    """A display aspect ratio, as setdar takes it."""
    from anonfilter.expr import evaluate

    width, colon, height = text.partition(":")
    try:
        value = evaluate(width) / evaluate(height) if colon else evaluate(text)
    except (GraphError, ZeroDivisionError):
        value = 0.0
    if not 0 < value < 1000:
        raise ValueError(f"Invalid aspect ratio: {text} (use 16:9 or 1.7778)")
    return text.replace(":", "/")


def fps_mode(text: str) -> str:
    """auto, cfr, vfr or passthrough; -vsync's numbers too."""
    mode = _FPS_MODES.get(text, text)
    if mode == "drop":
        raise ValueError("'drop' is not offered: use passthrough, or -r for new times")
    if mode not in _FPS_MODES.values():
        raise ValueError(f"'{text}' is not a mode (use auto, cfr, vfr or passthrough)")
    return mode


def stream_map(text: str) -> str:
    """-map, checked and given back as written."""
    from anonfilter.streamspec import parse_map

    try:
        return parse_map(text).text
    except UsageError as error:
        raise ValueError(str(error)) from None


def no_chapters(text: str) -> bool:
    """Whether -map_chapters keeps the chapters."""
    if text not in ("0", "-1"):
        raise ValueError(f"Invalid input file index {text} in chapter mapping (0 keeps the chapters, -1 drops them)")
    return text == "0"


def keep_metadata(text: str) -> bool:
    """Whether -map_metadata keeps the input's metadata."""
    file, _, part = text.partition(":")
    if file not in ("0", "-1"):
        raise ValueError(f"'{text}' is not offered (0 keeps the input's metadata, -1 drops it)")
    if part not in ("", "g"):
        raise ValueError(f"'{text}' is not offered: metadata is kept as a whole (0) or not (-1)")
    return file == "0"


def tag(text: str) -> tuple[str, str]:
    """key=value of -metadata."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ValueError(f"No '=' character in metadata string {text}. (write key=value; 'key=' removes it)")
    return key, value
