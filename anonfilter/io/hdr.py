"""HDR10: what the mastering display and the brightest light were, from the input to the encoder and the container.

The values are those of SMPTE ST 2086 (mastering display) and CTA-861.3 (content light level).
"""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from typing import Any, cast

import av
import av.error
from av.bitstream import BitStreamFilterContext
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame

from anonfilter.frame import Hdr
from anonfilter.io.logs import captured

# Matroska's names of the codecs whose encoders this may be asked of.
_MATROSKA = {
    "h264": "V_MPEG4/ISO/AVC", "hevc": "V_MPEGH/ISO/HEVC", "av1": "V_AV1", "vp9": "V_VP9", "vp8": "V_VP8",
    "prores": "V_PRORES", "ffv1": "V_FFV1", "mpeg4": "V_MPEG4/ISO/ASP", "mpeg2video": "V_MPEG2", "mjpeg": "V_MJPEG",
}  # fmt: skip

# What changes with every picture and is left behind, and told.
_DYNAMIC = {
    "SEI_UNREGISTERED": "user data in the video's bitstream (-udu_sei 1 keeps it)",
    "DYNAMIC_HDR_PLUS": "dynamic HDR10+ metadata",
    "DYNAMIC_HDR_VIVID": "dynamic HDR Vivid metadata",
    "DOVI_RPU_BUFFER": "Dolby Vision metadata",
    "DOVI_METADATA": "Dolby Vision metadata",
}

# Filters behind which the light of the source says nothing about the picture any more.
CHANGES_LIGHT = frozenset({"tonemap", "colorspace", "lut3d", "lut1d", "libplacebo", "setparams"})


def read(frame: VideoFrame) -> tuple[Hdr | None, list[str]]:
    """What hangs on a decoded frame, from its bitstream or its container; then what else hangs there and is left
    behind."""
    primaries: tuple[Fraction, ...] = ()
    luminance: tuple[Fraction, ...] = ()
    light: tuple[int, ...] = ()
    try:
        found = {item.type: item for item in cast(Any, frame.side_data)}
    except ValueError:  # PyAV 17 and 18 give up on all side data when one type is newer than they are
        return None, []
    if (data := found.get(SideDataType.MASTERING_DISPLAY_METADATA)) is not None and len(bytes(data)) >= 88:
        # AVMasteringDisplayMetadata: 10 AVRational, then whether each half of them is known.
        numbers = struct.unpack("=22i", bytes(data)[:88])
        ratios = [Fraction(n, d) if d else Fraction(0) for n, d in zip(numbers[:20:2], numbers[1:20:2], strict=True)]
        primaries = tuple(ratios[:8]) if numbers[20] else ()
        luminance = tuple(ratios[8:]) if numbers[21] else ()
    if (data := found.get(SideDataType.CONTENT_LIGHT_LEVEL)) is not None and len(bytes(data)) >= 8:
        light = struct.unpack("=2I", bytes(data)[:8])
    lost = [_DYNAMIC[kind.name] for kind in found if kind.name in _DYNAMIC]
    hdr = Hdr(primaries, luminance, light) if primaries or luminance or any(light) else None
    return hdr, sorted(set(lost))


def has_captions(frame: VideoFrame) -> bool:
    """Whether closed captions hang on a frame."""
    try:
        return any(item.type == SideDataType.A53_CC for item in cast(Any, frame.side_data))
    except ValueError:
        return False


def add_parameters(encoder: str, hdr: Hdr, options: dict[str, str]) -> None:
    """Add to an encoder's options what makes it write `hdr` into its bitstream, unless the user gave it himself.
    Encoders that have no way are left alone: then the container alone knows."""
    names = {"libx264": ("x264-params", "mastering-display", "cll"),
             "libx265": ("x265-params", "master-display", "max-cll"),
             "libsvtav1": ("svtav1-params", "mastering-display", "content-light")}  # fmt: skip
    if encoder not in names:
        return
    option, display, light = names[encoder]
    given = [part for part in options.get(option, "").split(":") if part]
    taken = {part.partition("=")[0] for part in given}
    if hdr.primaries and hdr.luminance and display not in taken:
        given.append(f"{display}={_display(hdr, encoder == 'libsvtav1')}")
    if any(hdr.light) and light not in taken:
        given.append(f"{light}={hdr.light[0]},{hdr.light[1]}")
    if given:
        options[option] = ":".join(given)


def _display(hdr: Hdr, decimal: bool) -> str:
    """The mastering display as encoders read it: G, B, R, white point, then greatest and least light. In units of
    0.00002 and 0.0001 cd/m2 unless `decimal`."""
    red, green, blue, white = (hdr.primaries[i : i + 2] for i in range(0, 8, 2))
    least, most = hdr.luminance

    def pair(values: tuple[Fraction, ...], unit: int) -> str:
        return ",".join(f"{float(v):.6g}" if decimal else str(round(v * unit)) for v in values)

    points = "".join(f"{n}({pair(v, 50_000)})" for n, v in (("G", green), ("B", blue), ("R", red), ("WP", white)))
    return f"{points}L({pair((most, least), 10_000)})"


def attach(video: Any, hdr: Hdr) -> None:
    """Let the container of an output stream hold `hdr`. To be called before anything else of its codec context is set.

    PyAV has no way to set it, but a bitstream filter takes over all that an input stream has: so an input is made, the
    head of a Matroska file of this codec that has nothing else. Codecs that Matroska has no name for go without.
    """
    name = _MATROSKA.get(video.codec_context.codec.canonical_name)
    if name is None:
        return
    with captured():
        try:
            with av.open(io.BytesIO(_matroska(name, hdr)), format="matroska") as source:
                BitStreamFilterContext("null", in_stream=source.streams.video[0], out_stream=video)
        except (av.error.FFmpegError, ValueError, IndexError):  # the bitstream has it, where the encoder can
            return


def _matroska(codec: str, hdr: Hdr) -> bytes:
    """A Matroska file of one video track and no frame (RFC 9559)."""
    colour = b""
    if any(hdr.light):
        colour += _uint("55bc", hdr.light[0]) + _uint("55bd", hdr.light[1])
    values = list(zip(("55d1", "55d2", "55d3", "55d4", "55d5", "55d6", "55d7", "55d8"), hdr.primaries, strict=False))
    if hdr.luminance:
        values += [("55da", hdr.luminance[0]), ("55d9", hdr.luminance[1])]
    if values:
        colour += _element("55d0", b"".join(_element(name, struct.pack(">d", value)) for name, value in values))
    picture = _element("e0", _uint("b0", 16) + _uint("ba", 16) + _element("55b0", colour))
    track = _uint("d7", 1) + _uint("73c5", 1) + _uint("83", 1) + _element("86", codec.encode()) + picture
    body = _element("1549a966", _uint("2ad7b1", 1_000_000)) + _element("1654ae6b", _element("ae", track))
    return _element("1a45dfa3", _element("4282", b"matroska")) + _element(
        "18538067", body + _element("1f43b675", _uint("e7", 0))
    )


def _element(ident: str, data: bytes) -> bytes:
    return bytes.fromhex(ident) + struct.pack(">Q", 1 << 56 | len(data)) + data


def _uint(ident: str, value: int) -> bytes:
    return _element(ident, value.to_bytes(8, "big"))
