"""Values that ffmpeg writes in its own way: colours, picture sizes, times, truth values."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fractions import Fraction  # imported when it is needed: -h answers at once

# The X11 / CSS names and values, as `ffmpeg -colors` lists them.
_COLORS = """
aliceblue#f0f8ff antiquewhite#faebd7 aqua#00ffff aquamarine#7fffd4 azure#f0ffff beige#f5f5dc bisque#ffe4c4
black#000000 blanchedalmond#ffebcd blue#0000ff blueviolet#8a2be2 brown#a52a2a burlywood#deb887
cadetblue#5f9ea0 chartreuse#7fff00 chocolate#d2691e coral#ff7f50 cornflowerblue#6495ed cornsilk#fff8dc
crimson#dc143c cyan#00ffff darkblue#00008b darkcyan#008b8b darkgoldenrod#b8860b darkgray#a9a9a9
darkgreen#006400 darkkhaki#bdb76b darkmagenta#8b008b darkolivegreen#556b2f darkorange#ff8c00
darkorchid#9932cc darkred#8b0000 darksalmon#e9967a darkseagreen#8fbc8f darkslateblue#483d8b
darkslategray#2f4f4f darkturquoise#00ced1 darkviolet#9400d3 deeppink#ff1493 deepskyblue#00bfff
dimgray#696969 dodgerblue#1e90ff firebrick#b22222 floralwhite#fffaf0 forestgreen#228b22 fuchsia#ff00ff
gainsboro#dcdcdc ghostwhite#f8f8ff gold#ffd700 goldenrod#daa520 gray#808080 green#008000 greenyellow#adff2f
honeydew#f0fff0 hotpink#ff69b4 indianred#cd5c5c indigo#4b0082 ivory#fffff0 khaki#f0e68c lavender#e6e6fa
lavenderblush#fff0f5 lawngreen#7cfc00 lemonchiffon#fffacd lightblue#add8e6 lightcoral#f08080
lightcyan#e0ffff lightgoldenrodyellow#fafad2 lightgreen#90ee90 lightgrey#d3d3d3 lightpink#ffb6c1
lightsalmon#ffa07a lightseagreen#20b2aa lightskyblue#87cefa lightslategray#778899 lightsteelblue#b0c4de
lightyellow#ffffe0 lime#00ff00 limegreen#32cd32 linen#faf0e6 magenta#ff00ff maroon#800000
mediumaquamarine#66cdaa mediumblue#0000cd mediumorchid#ba55d3 mediumpurple#9370d8 mediumseagreen#3cb371
mediumslateblue#7b68ee mediumspringgreen#00fa9a mediumturquoise#48d1cc mediumvioletred#c71585
midnightblue#191970 mintcream#f5fffa mistyrose#ffe4e1 moccasin#ffe4b5 navajowhite#ffdead navy#000080
oldlace#fdf5e6 olive#808000 olivedrab#6b8e23 orange#ffa500 orangered#ff4500 orchid#da70d6
palegoldenrod#eee8aa palegreen#98fb98 paleturquoise#afeeee palevioletred#d87093 papayawhip#ffefd5
peachpuff#ffdab9 peru#cd853f pink#ffc0cb plum#dda0dd powderblue#b0e0e6 purple#800080 red#ff0000
rosybrown#bc8f8f royalblue#4169e1 saddlebrown#8b4513 salmon#fa8072 sandybrown#f4a460 seagreen#2e8b57
seashell#fff5ee sienna#a0522d silver#c0c0c0 skyblue#87ceeb slateblue#6a5acd slategray#708090 snow#fffafa
springgreen#00ff7f steelblue#4682b4 tan#d2b48c teal#008080 thistle#d8bfd8 tomato#ff6347 turquoise#40e0d0
violet#ee82ee wheat#f5deb3 white#ffffff whitesmoke#f5f5f5 yellow#ffff00 yellowgreen#9acd32
"""
COLORS: dict[str, tuple[int, int, int]] = {
    name: (int(code[:2], 16), int(code[2:4], 16), int(code[4:], 16))
    for name, _, code in (row.partition("#") for row in _COLORS.split())
}

_SIZES = """
ntsc=720x480 pal=720x576 qntsc=352x240 qpal=352x288 sntsc=640x480 spal=768x576 film=352x240
ntsc-film=352x240 sqcif=128x96 qcif=176x144 cif=352x288 4cif=704x576 16cif=1408x1152 qqvga=160x120
qvga=320x240 vga=640x480 svga=800x600 xga=1024x768 uxga=1600x1200 qxga=2048x1536 sxga=1280x1024
qsxga=2560x2048 hsxga=5120x4096 wvga=852x480 wxga=1366x768 wsxga=1600x1024 wuxga=1920x1200 woxga=2560x1600
wqhd=2560x1440 wqsxga=3200x2048 wquxga=3840x2400 whsxga=6400x4096 whuxga=7680x4800 cga=320x200 ega=640x350
hd480=852x480 hd720=1280x720 hd1080=1920x1080 quadhd=2560x1440 2k=2048x1080 2kdci=2048x1080 2kflat=1998x1080
2kscope=2048x858 4k=4096x2160 4kdci=4096x2160 4kflat=3996x2160 4kscope=4096x1716 nhd=640x360 hqvga=240x160
wqvga=400x240 fwqvga=432x240 hvga=480x320 qhd=960x540 uhd2160=3840x2160 uhd4320=7680x4320
"""
SIZES: dict[str, tuple[int, int]] = {
    name: (int(size.partition("x")[0]), int(size.partition("x")[2]))
    for name, _, size in (row.partition("=") for row in _SIZES.split())
}

_RATES = {
    "ntsc": (30000, 1001), "pal": (25, 1), "qntsc": (30000, 1001), "qpal": (25, 1), "sntsc": (30000, 1001),
    "spal": (25, 1), "film": (24, 1), "ntsc-film": (24000, 1001),
}  # fmt: skip

_TRUE = ("true", "y", "yes", "enable", "enabled", "on")
_FALSE = ("false", "n", "no", "disable", "disabled", "off")


def hint(name: str, known: Iterable[str]) -> str:
    """The text " (did you mean 'x'?)" for a name that resembles a known one, else ""."""
    close = difflib.get_close_matches(name, sorted(known), 1, 0.6)
    return f" (did you mean '{close[0]}'?)" if close else ""


def parse_bool(text: str) -> bool:
    """libavutil's words for true and false, any case, and 1 and 0. Raises ValueError."""
    word = text.lower()
    if word in _TRUE or re.fullmatch(r"[+-]?0*1", word):
        return True
    if word in _FALSE or re.fullmatch(r"[+-]?0+", word):
        return False
    raise ValueError(f"'{text}' is not a truth value (use 1 or 0, yes or no, on or off)")


def parse_color(text: str) -> tuple[int, int, int]:
    """R, G, B of a colour name (any case), RRGGBB with '#', '0x' or nothing before it, as ffmpeg reads it.

    A transparency (@A, or eight digits) must say opaque: what does not cover is not a colour to cover with.
    Raises ValueError.
    """
    base, at, alpha = text.partition("@")
    digits = base[1:] if base.startswith("#") else base[2:] if base.startswith("0x") else base
    if digits != base or re.fullmatch(r"[0-9A-Fa-f]*", base):
        if not re.fullmatch(r"(?:[0-9A-Fa-f]{6}|[0-9A-Fa-f]{8})", digits):
            raise ValueError(f"'{text}' is not a colour (use 0xRRGGBB or a name)")
        rgb = (int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:6], 16))
        opaque = digits[6:].lower() in ("", "ff")
    elif base.lower() in COLORS:
        rgb, opaque = COLORS[base.lower()], True
    else:
        raise ValueError(f"unknown colour '{base}'{hint(base.lower(), COLORS)}")
    if at:
        try:
            level = int(alpha, 16) / 255 if alpha.startswith("0x") else float(alpha)
        except ValueError:
            level = -1.0
        if not 0 <= level <= 1:
            raise ValueError(f"invalid alpha '{alpha}' in '{text}' (use 0 to 1)")
        opaque = level == 1
    if not opaque:
        raise ValueError(f"'{text}' is transparent, which would not cover what is below")
    return rgb


def parse_size(text: str) -> tuple[int, int]:
    """Width and height from WxH, an abbreviation of ffmpeg's (hd720), or N for N x N. Raises ValueError."""
    if text in SIZES:
        return SIZES[text]
    match = re.fullmatch(r"([0-9]{1,9})(?:[xX]([0-9]{1,9}))?", text)
    if match is None:
        raise ValueError(f"'{text}' is not a size (use WIDTHxHEIGHT){hint(text, SIZES)}")
    width = int(match[1])
    height = int(match[2]) if match[2] else width
    if not width or not height:
        raise ValueError(f"size '{text}' is empty")
    return width, height


def parse_rate(text: str) -> Fraction:
    """Frames per second from N, N/D, N:D, a decimal or an abbreviation of ffmpeg's (pal, ntsc-film). Raises ValueError.

    As av_parse_video_rate: a decimal becomes the nearest fraction of numbers up to 1001000.
    """
    from fractions import Fraction

    if text in _RATES:
        return Fraction(*_RATES[text])
    match = re.fullmatch(r"\+?([0-9]{1,9}(?:\.[0-9]*)?|\.[0-9]+)(?:[/:]([0-9]{1,9}(?:\.[0-9]*)?|\.[0-9]+))?", text)
    if match is None:
        raise ValueError(f"'{text}' is not a frame rate (use 25, 30000/1001 or 23.976){hint(text, _RATES)}")
    over = Fraction(match[2] or "1")
    rate = (Fraction(match[1]) / over).limit_denominator(1_001_000) if over else Fraction(0)
    if rate <= 0:
        raise ValueError(f"frame rate '{text}' is not positive")
    return rate


def parse_time(text: str) -> float:
    """Seconds from ffmpeg's time duration syntax, [-][HH:]MM:SS[.m...] or [-]S+[.m...][s|ms|us].

    Exact to the microsecond, as in ffmpeg; the unit applies to the whole number. Raises ValueError.
    """
    clock = re.fullmatch(r"(-?)(?:([0-9]{1,4}):)?([0-5]?[0-9]):([0-5]?[0-9])(\.[0-9]*)?", text)
    if clock:
        whole = int(clock[2] or 0) * 3600 + int(clock[3]) * 60 + int(clock[4])
        micros, fraction, sign = whole * 1_000_000, clock[5], clock[1]
        scale = 1_000_000
    else:
        plain = re.fullmatch(r"(-?)\+?([0-9]+)(\.[0-9]*)?(s|ms|us)?", text)
        if plain is None:
            raise ValueError(f"'{text}' is not a time (use [HH:]MM:SS[.m] or S[.m][s|ms|us])")
        scale = {"ms": 1000, "us": 1}.get(plain[4] or "s", 1_000_000)
        micros, fraction, sign = int(plain[2]) * scale, plain[3], plain[1]
    if fraction:
        micros += int(fraction[1:].ljust(6, "0")[:6] or 0) * scale // 1_000_000
    return (-micros if sign else micros) / 1_000_000


def not_negative(text: str) -> float:
    """A number from 0 to a million. Raises ValueError."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise ValueError(f"'{text}' is not a number from 0")
    return value
