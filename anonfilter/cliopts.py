"""The command line's options, in one table.

Options apply to the next file. `-h`, docs/options.md and the parser all come from FLAGS, and from clirefused.OTHERS for
what ffmpeg has and this has not. Nothing heavy is imported here: an option that neither table has is looked up among
the encoder's own only when one is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from anonfilter import clivalues as values
from anonfilter.values import not_negative

Where = Literal["global", "input", "output", "file"]
Section = Literal["generic", "main", "video", "audio", "subtitle", "advanced", "own"]


@dataclass(frozen=True, slots=True)
class Flag:
    """One option of the command line.

    names: without the dash, the usual one first; a name that stream specifiers can follow is written with ":v" or ":a"
    too. where: which file it applies to ("file": input or output, whichever comes next). help: one line. section: of
    ffmpeg's manual; "own" are options that ffmpeg does not have. arg: what the value is called in help, "" for a switch
    (-noNAME turns it off). parse: from the text to the value. dest: the field of Job or Command that takes it; for
    options of an input and an output alike the output's is "out_" + dest. const: a switch's value. many: each use adds
    one. spec: any stream specifier may follow the name, and is handed on with the value.
    """

    names: tuple[str, ...]
    where: Where
    help: str
    section: Section
    arg: str = ""
    parse: Callable[[str], Any] = str
    dest: str = ""
    const: Any = True
    many: bool = False
    spec: bool = False


FLAGS: tuple[Flag, ...] = (
    # Generic
    Flag(("h", "?", "help", "-help"), "global", "show help; full, or filter=NAME", "generic", "[topic]", dest="topic"),
    Flag(("version",), "global", "show versions of anonfilter, its libraries and engines", "generic", const="version"),
    Flag(("filters",), "global", "list the filters", "generic", const="filters"),
    Flag(("loglevel", "v"), "global", "how much to log to stderr (info); level+ in front says each line's level",
         "generic", "[flags+]level", values.log_level, "log_level"),
    Flag(("report",), "global", "write the command and all that is logged to anonfilter-DATE-TIME.log, or where the "
         "variable FFREPORT says (file=NAME:level=N)", "generic", dest="report"),
    Flag(("hide_banner",), "global", "do not show the program's name and version", "generic", dest="hide_banner"),
    # Main
    Flag(("i",), "input", "input file or URL", "main", "url"),
    Flag(("f",), "file", "container format, instead of guessing it", "main", "fmt", dest="format"),
    Flag(("y",), "global", "overwrite the output without asking", "main", dest="overwrite", const=True),
    Flag(("n",), "global", "never overwrite the output", "main", dest="overwrite", const=False),
    Flag(("c:v", "c", "codec:v", "codec", "vcodec"), "output", "video encoder (libx264 for mp4, mov, mkv and, "
         "unlike ffmpeg, ts, since MPEG-2 cannot show a picture between the ticks of its rate); -c copy "
         "copies everything but the video", "main", "codec", dest="codec"),
    Flag(("ss",), "file", "start at this time, to the frame; before the start (-1) the output begins so much later",
         "main", "time", values.start, "ss"),
    Flag(("sseof",), "input", "start so long before the end of the file", "main", "-time", values.before_end, "sseof"),
    Flag(("to",), "file", "stop at this time", "main", "time", values.seconds, "to"),
    Flag(("t",), "file", "stop after this much; 0 is an error, where ffmpeg makes a file without frames",
         "main", "duration", values.seconds, "t"),
    Flag(("fs",), "output", "take no more pictures once the file is larger than this; what the encoder "
         "holds by then comes on top", "main", "bytes", values.limit,
         "limit_size"),
    Flag(("stream_loop",), "input", "read the file so often again, with times that go on; -1: without end (with -t). "
         "Not with -ss of the input", "main", "count", values.loops, "stream_loop"),
    Flag(("re",), "input", "read at the pace of the times, as a camera would", "main", dest="readrate", const=1.0),
    Flag(("readrate",), "input", "read at so many times the pace of the times; 0: as fast as it can be", "main",
         "speed", not_negative, "readrate"),
    Flag(("readrate_initial_burst",), "input", "seconds to read at once before -re or -readrate", "main", "seconds",
         not_negative, "readrate_burst"),
    Flag(("disposition",), "output", "what the stream is for: default+forced, +x adds, -x takes away, 0: nothing "
         "(-disposition:a:1 default)", "main", "flags", values.disposition, "dispositions", many=True, spec=True),
    Flag(("metadata",), "output", "set a tag of the output, or of a stream (-metadata:s:a:0 language=eng); an empty "
         "value removes it", "main", "key=value", values.tag, "metadata", many=True, spec=True),
    Flag(("frames:v", "vframes"), "output", "stop after so many frames are encoded", "main", "count", values.frames,
         "frames"),
    Flag(("q:v", "q", "qscale:v", "qscale"), "output", "fixed quality scale, for encoders that have one", "main", "q",
         dest="qscale"),
    Flag(("vf", "filter:v", "filter"), "output", "the filter graph", "main", "graph", dest="graph"),
    Flag(("/vf", "/filter:v", "/filter", "filter_script:v", "filter_script"), "output", "read the filter graph from "
         "a file", "main", "file", dest="graph_file"),
    Flag(("stats",), "global", "show progress on stderr (on from loglevel info)", "main", dest="stats"),
    Flag(("stats_period",), "global", "time between two reports of progress (0.5)", "main", "time", values.seconds,
         "stats_period"),
    Flag(("progress",), "global", "write key=value progress to a file, pipe:1, -, tcp://, udp:// or unix:", "main",
         "url", dest="progress"),
    Flag(("stdin",), "global", "let a question be asked on the terminal (on)", "main", dest="stdin"),
    # Video
    Flag(("r", "r:v"), "file", "of the output: frames are dropped or repeated to a constant rate, after the graph; "
         "of the input: times are made from this rate instead of read", "video", "rate", values.rate, "rate"),
    Flag(("s", "s:v"), "file", "of the output: scale to this size, after the graph; of the input: size of raw video",
         "video", "size", values.size, "size"),
    Flag(("aspect", "aspect:v"), "output", "display aspect ratio of the output", "video", "ratio", values.aspect,
         "aspect"),
    Flag(("pix_fmt", "pix_fmt:v"), "file", "pixel format of the output; of the input: of raw video", "video", "format",
         dest="pix_fmt"),
    Flag(("autorotate",), "input", "turn pictures upright for filters that see geometry (on); -noautorotate does not",
         "video", dest="autorotate"),
    Flag(("display_rotation", "display_rotation:v"), "input", "turn by so many degrees counterclockwise for display, "
         "instead of what the file says (whole quarter turns)", "video", "degrees", values.quarter, "display_rotation"),
    Flag(("display_hflip", "display_hflip:v"), "input", "mirror left to right for display, after the rotation", "video",
         dest="display:0"),
    Flag(("display_vflip", "display_vflip:v"), "input", "mirror top to bottom for display, after the rotation", "video",
         dest="display:1"),
    Flag(("force_key_frames", "force_key_frames:v"), "output", "key frames at these times (0,2.5,chapters-0.1), where "
         "the source has them (source), or by an expression (expr:gte(t,n_forced*2))", "video", "times|expr:...|source",
         values.key_frames, "force_key_frames"),
    Flag(("bsf:v", "vbsf"), "output", "bitstream filters for the encoded video: name=option=value, name", "video",
         "filters", dest="bitstream:v"),
    Flag(("pass", "pass:v"), "output", "1 or 2 of two-pass encoding to a bit rate (libx264)", "video", "n",
         values.encoding_pass, "encoding_pass"),
    Flag(("passlogfile", "passlogfile:v"), "output", "prefix of the files that -pass 1 writes and -pass 2 reads "
         "(ffmpeg2pass)", "video", "prefix", dest="pass_file"),
    Flag(("hwaccel", "hwaccel:v"), "input", "taken, and frames are decoded by the CPU: auto and none without a word, "
         "others with a warning, where ffmpeg fails without the device", "video", "name", values.hwaccel, "hwaccel"),
    # Audio
    Flag(("c:a", "codec:a", "acodec"), "output", "audio encoder, or copy (the default: bit for bit)", "audio", "codec",
         dest="acodec"),
    Flag(("af", "filter:a"), "output", "audio filters; the audio is then encoded", "audio", "graph",
         dest="audio_filter"),
    Flag(("ar", "ar:a"), "output", "sample rate; the audio is then encoded", "audio", "hz", values.count, "audio:ar"),
    Flag(("ac", "ac:a"), "output", "channels; the audio is then encoded", "audio", "count", values.count, "audio:ac"),
    Flag(("b:a", "ab"), "output", "audio bit rate; the audio is then encoded", "audio", "bits", dest="audio:b"),
    Flag(("q:a", "aq", "qscale:a"), "output", "audio quality scale; the audio is then encoded", "audio", "q",
         dest="audio_q"),
    Flag(("bsf:a", "absf"), "output", "bitstream filters for the audio", "audio", "filters", dest="bitstream:a"),
    Flag(("an",), "output", "leave the audio out", "audio", dest="audio", const=False),
    # Subtitles and data
    Flag(("c:s", "codec:s", "scodec"), "output", "subtitle encoder, or copy (the default)", "subtitle", "codec",
         dest="scodec"),
    Flag(("sn",), "output", "leave the subtitles out", "subtitle", dest="subtitles", const=False),
    Flag(("dn",), "output", "leave data streams out (they are, unless -map names one)", "subtitle", dest="data",
         const=False),
    # Advanced
    Flag(("map",), "output", "choose streams: 0:v, 0:a:1, 0:s?, 0:m:language:eng, -0:a takes away; once given, only "
         "what is named is there", "advanced", "[-]0[:stream][?]", values.stream_map, "maps", many=True),
    Flag(("map_metadata",), "output", "0: keep the input's metadata, which may tell place, device and owner; "
         "-1: drop the titles, too. Without it titles (of the file, its streams and chapters), album, show, genre, "
         "numbers of tracks and episodes and languages stay", "advanced", "0|-1", values.keep_metadata,
         "keep_metadata"),
    Flag(("map_chapters",), "output", "-1: leave the chapters out", "advanced", "0|-1", values.no_chapters,
         "chapters"),
    Flag(("fps_mode", "fps_mode:v"), "output", "cfr: drop or repeat frames to a constant rate; vfr: drop those whose "
         "time is taken; passthrough: neither; auto: cfr where the container knows no times, else passthrough",
         "advanced", "mode", values.fps_mode, "fps_mode"),
    Flag(("vsync",), "global", "-fps_mode, in older ffmpeg", "advanced", "mode", values.fps_mode, "fps_mode"),
    Flag(("copyts",), "global", "times of the source: -ss does not start at 0, and t of filters is the source's",
         "advanced", dest="copyts"),
    Flag(("start_at_zero",), "global", "with -copyts: the container's start is 0", "advanced", dest="start_at_zero"),
    Flag(("shortest",), "output", "end when the shortest stream ends", "advanced", dest="shortest"),
    Flag(("bitexact",), "output", "write nothing that differs between versions", "advanced", dest="bitexact"),
    Flag(("benchmark",), "global", "show the time and memory that were used", "advanced", dest="benchmark"),
    Flag(("err_detect",), "input", "ignore_err: go on when the input is damaged or cut short", "advanced", "flags",
         values.ignore_err, "ignore_errors"),
    Flag(("threads",), "file", "threads of decoder and encoder, 0: as fits", "advanced", "count", values.threads,
         "threads"),
    # Ours
    Flag(("dump_plan",), "global", "show what will run where; with no output only that", "own", dest="dump_plan"),
    Flag(("ring_memory",), "global", "memory for waiting frames (a quarter of what there is)", "own", "bytes",
         values.parse_bytes, "ring_memory"),
    Flag(("live",), "global", "a frame leaves so soon after its arrival, covered wholly if it is not analysed then; a "
         "file is read in real time", "own", "time", values.seconds, "live"),
    Flag(("passes",), "global", "force one pass or two instead of choosing", "own", "1|2", values.passes, "passes"),
    Flag(("kernels",), "global", "what edits frames that lie on a CUDA device (cuda)", "own", "triton|cuda",
         values.kernels, "kernels"),
)  # fmt: skip
BY_NAME = {name: flag for flag in FLAGS for name in flag.names}
# Encoder options that people write most; any other is looked up by name.
COMMON = (
    ("crf", "quality, lower is better"), ("preset", "speed against size"), ("tune", "what to tune for"),
    ("b:v", "bit rate"), ("maxrate", "greatest bit rate"), ("bufsize", "rate control buffer"),
    ("g", "most frames between key frames"), ("bf", "most B-frames in a row"), ("profile:v", "profile"),
    ("level", "level"), ("tag:v", "four-character code of the video, such as hvc1"),
    ("movflags", "muxer flags, such as +faststart"),
)  # fmt: skip
