"""One run of the tool, as data: what the command line and the Python API both fill in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Progress:
    """State of a run, handed to Job.progress about twice a second and once at the end.

    frame: frames written. total: estimate, 0 if unknown. fps: frames per second of wall time. out_time: seconds of
    output. size: bytes written. speed: out_time per second of wall time. stage: "render", "pass 1", "pass 2".
    done: True in the last call. dup, drop: frames that a constant rate repeated or left out. q: the encoder's quantizer
    of the last frame, -1 where it does not say.
    """

    frame: int = 0
    total: int = 0
    fps: float = 0.0
    out_time: float = 0.0
    size: int = 0
    speed: float = 0.0
    stage: str = "render"
    done: bool = False
    dup: int = 0
    drop: int = 0
    q: float = -1.0


@dataclass(slots=True)
class Job:
    """input, output: paths or "-" or URLs. graph: filter graph text, graph_source: what errors call it.

    ss, to, t: input side, seconds. out_ss, out_to, out_t: output side. input_format, output_format: -f.
    input_options: left-over options before -i, for the demuxer and decoder. codec: -c:v (None: the muxer's default,
    libx264 for mp4, mov and mkv). encoder_options: everything given for the encoder, by its ffmpeg name without the
    stream specifier ("crf", "preset", "b" for -b:v); an option nobody knows is an error. typed: how the command line
    wrote these names ("b": "b:v"), for errors. muxer_options likewise.
    pix_fmt: -pix_fmt. audio: False for -an. overwrite: True -y, False -n or unknown (an existing output is then an
    error). threads: decoder and encoder, 0 = auto. ring_memory: bytes that the frame ring may take, None
    for a quarter of the memory. passes: force 1
    or 2, None lets the planner choose. kernels: -kernels, None for the device's own. ignore_errors: -err_detect
    ignore_err. keep_metadata: -map_metadata 0. titles: False for
    -map_metadata -1. on_plan: is given the plan's description (-dump_plan). stopped: is asked
    many times a second, and ends the run with Cancelled once it says True. last: the process ends after this run, so
    that nothing need be freed. maps: -map as written, in order (streamspec.resolve_maps reads them); empty: ffmpeg's
    own choice among the input's streams, but every audio and subtitle track. acodec, scodec: -c:a, -c:s; "copy", an
    encoder, or "" for copy where the container can hold it; but with audio_options or audio_filter "" is the muxer's
    default encoder. audio_options: for the audio encoder, as encoder_options, "ar" (Hz) and "ac" (channels) among
    them; -q:a is "flags": "+qscale" and "global_quality". audio_filter: -af. subtitles: False for -sn. data: False for
    -dn. chapters: False for -map_chapters -1. metadata: -metadata, by specifier ("" for the file, "s:a:0" for a
    stream: "s:" and a streamspec, of the output's streams; "c:0" for a chapter) and key; an empty value removes the
    key. copyts, start_at_zero, shortest, autorotate: as ffmpeg's. fps_mode: "auto" (of the muxer), "cfr", "vfr",
    "passthrough". frames: -frames:v. rate: -r of the output, size: -s, as written. aspect: -aspect, as setdar takes
    it. live: -live, seconds from a frame's arrival until it must leave, None for not. input_rate: -r of the input.
    sseof: seconds, negative. stream_loop: turns after the first, -1 for no end. readrate: seconds of the input in a
    second, 0 for as fast as it can be, readrate_burst: seconds that are read at once before. display_rotation: degrees
    counterclockwise instead of what the file says, display_flips: horizontally and vertically, after that.
    force_key_frames: as written (io.keyframes reads it). limit_size: -fs, bytes. bitstream: -bsf, by "v" and "a".
    dispositions: -disposition as written, specifier and value, in order. encoding_pass: -pass, 0 for one alone;
    pass_file: -passlogfile. stats_period: seconds between calls of progress.
    """

    input: str
    output: str
    graph: str = ""
    graph_source: str = "-vf"
    ss: float | None = None
    to: float | None = None
    t: float | None = None
    out_ss: float | None = None
    out_to: float | None = None
    out_t: float | None = None
    input_format: str | None = None
    output_format: str | None = None
    input_options: dict[str, str] = field(default_factory=dict)
    codec: str | None = None
    encoder_options: dict[str, str] = field(default_factory=dict)
    typed: dict[str, str] = field(default_factory=dict)
    muxer_options: dict[str, str] = field(default_factory=dict)
    pix_fmt: str | None = None
    audio: bool = True
    overwrite: bool = False
    threads: int = 0
    ring_memory: int | None = None
    passes: int | None = None
    kernels: str | None = None
    ignore_errors: bool = False
    keep_metadata: bool = False
    titles: bool = True
    progress: Callable[[Progress], None] | None = None
    log: Callable[[str, str], None] | None = None
    on_plan: Callable[[str], None] | None = None
    stopped: Callable[[], bool] | None = None
    last: bool = False
    maps: list[str] = field(default_factory=list)
    acodec: str = ""
    audio_options: dict[str, str] = field(default_factory=dict)
    audio_filter: str = ""
    scodec: str = ""
    subtitles: bool = True
    chapters: bool = True
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    copyts: bool = False
    shortest: bool = False
    autorotate: bool = True
    fps_mode: str = "auto"
    frames: int | None = None
    rate: str = ""
    size: str = ""
    input_rate: str = ""
    aspect: str = ""
    data: bool = True
    sseof: float | None = None
    stream_loop: int = 0
    readrate: float = 0.0
    readrate_burst: float = 0.0
    display_rotation: float | None = None
    display_flips: tuple[bool, bool] = (False, False)
    force_key_frames: str = ""
    limit_size: int | None = None
    bitstream: dict[str, str] = field(default_factory=dict)
    dispositions: list[tuple[str, str]] = field(default_factory=list)
    encoding_pass: int = 0
    pass_file: str = "ffmpeg2pass"
    start_at_zero: bool = False
    live: float | None = None
    stats_period: float = 0.5


@dataclass(slots=True)
class Report:
    """What a finished run tells: frames written, seconds taken, frames that had regions, regions in all, passes made,
    what was dropped for privacy and what the output still tells (one line each), frames the decoder flagged corrupt,
    and the output's size. Of -live: frames covered wholly because no analysis was there in time, frames left out
    because the output was too slow, the longest time in seconds from arrival to the encoder; how often an input was
    opened again. Of a damaged input: packets that the decoder could not decode, places where the container was damaged,
    seconds that are missing at its end, frames that its index has and that did not come, and what else there was to say
    of it (one line each)."""

    frames: int = 0
    seconds: float = 0.0
    covered_frames: int = 0
    regions: int = 0
    passes: int = 1
    dropped: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    corrupt: int = 0
    size: int = 0
    covered_whole: int = 0
    left_out: int = 0
    latency: float = 0.0
    reconnects: int = 0
    undecodable: int = 0
    damaged: int = 0
    missing: float = 0.0
    absent: int = 0
    notes: list[str] = field(default_factory=list)
