"""-q:v for libavcodec's own encoders of the MPEG family."""

from __future__ import annotations

_LAMBDA = 118  # FF_QP2LAMBDA
# Encoders that take a fixed quantizer from every picture, where the ffmpeg program puts it and PyAV cannot.
_OF_PICTURES = frozenset(
    """
    mpeg1video mpeg2video mpeg4 msmpeg4v2 msmpeg4 msmpeg4v3 mjpeg ljpeg h261 h263 h263p flv wmv1 wmv2 rv10 rv20 amv
    speedhq
    """.split()  # noqa: SIM905
)


def fix(encoder: str, options: dict[str, str]) -> None:
    """Make of a fixed quality (flags +qscale and global_quality, as -q:v says it) what the encoder can be told.

    Where a picture's own quality cannot be set, the rate control is left one value to choose from, the same for every
    kind of picture; the files are then as large as ffmpeg's. options are changed in place.
    """
    if encoder not in _OF_PICTURES or "+qscale" not in options.get("flags", "") or "global_quality" not in options:
        return
    quality = int(options.pop("global_quality"))
    flags = options.pop("flags").replace("+qscale", "")
    # As ffmpeg, which clips to the encoder's own bounds.
    low, high = (int(options.get(name, default)) for name, default in (("qmin", "2"), ("qmax", "31")))
    quality = max(low * _LAMBDA, min(high * _LAMBDA, quality))
    scale = str(max(1, round(quality / _LAMBDA)))
    options |= {"qmin": scale, "qmax": scale, "lmin": str(quality), "lmax": str(quality)}
    options |= {"i_qfactor": "1", "b_qfactor": "1", "i_qoffset": "0", "b_qoffset": "0"}
    if flags:
        options["flags"] = flags
