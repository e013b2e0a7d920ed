"""ffmpeg's options that this command refuses, with what to do instead, and those that it takes and that have nothing to
act on here."""

from __future__ import annotations

from dataclasses import dataclass

from anonfilter.cliopts import Section


@dataclass(frozen=True, slots=True)
class Other:
    """Options of ffmpeg's without a counterpart here.

    names: without the dash and without specifiers. section: of ffmpeg's manual. text: for a refused one what to do
    instead, for one that is taken why it changes nothing. args: how many values a taken one has; -1: it is refused.
    """

    names: tuple[str, ...]
    section: Section
    text: str
    args: int = -1


OTHERS: tuple[Other, ...] = (
    Other(("L", "buildconf", "formats", "muxers", "demuxers", "devices", "codecs", "decoders", "encoders", "bsfs",
           "protocols", "pix_fmts", "layouts", "sample_fmts", "dispositions", "colors", "sources", "sinks",
           "hwaccels"), "generic", "ask ffmpeg: the bundled libraries are listed by -version"),
    Other(("max_alloc", "cpuflags", "cpucount"), "generic", "leave it out"),
    # Main
    Other(("pre", "vpre", "apre", "spre", "fpre"), "main", "write the preset's options out"),
    Other(("timestamp",), "main", "use -metadata creation_time=..."),
    Other(("program",), "main", "one file holds one programme here"),
    Other(("target",), "main", "name the format and the encoder with -f and -c:v"),
    Other(("frames",), "main", "use -frames:v"),
    Other(("reinit_filter",), "main", "a change of size in mid-stream is an error: split the file there"),
    Other(("discard",), "main", "use -map"),
    Other(("itsoffset", "itsscale", "isync"), "main", "put setpts=PTS+SECONDS/TB into -vf, or use -output_ts_offset"),
    Other(("readrate_catchup",), "main", "leave it out: what was late is made up for"),
    Other(("dump_attachment", "attach"), "main", "attachments are not carried"),
    Other(("stream_group",), "main", "leave it out"),
    Other(("recast_media",), "advanced", "leave it out"),
    Other(("apad",), "audio", "put apad into -af"),
    Other(("seek_timestamp",), "main", "-ss counts from the container's start"),
    Other(("accurate_seek",), "main", "always so: -ss is exact to the frame", 0),
    Other(("noaccurate_seek",), "main", "-ss is exact to the frame"),
    # Video
    Other(("fpsmax",), "video", "use -r"),
    Other(("vn",), "video", "there is nothing to anonymise without video"),
    Other(("timecode",), "video", "use -metadata timecode=..."),
    Other(("rc_override", "intra_matrix", "inter_matrix", "chroma_intra_matrix", "qphist", "psnr", "vstats",
           "vstats_file", "vstats_version", "top", "dc"), "video", "leave it out"),
    Other(("vtag",), "video", "use -tag:v"),
    Other(("force_fps",), "video", "use -r"),
    Other(("autoscale",), "video", "a change of size in mid-stream is an error: split the file there"),
    Other(("hwaccel_device", "hwaccel_output_format", "init_hw_device", "filter_hw_device", "vaapi_device",
           "qsv_device"), "video", "the device is chosen by what there is", 1),
    Other(("fix_sub_duration_heartbeat",), "video", "leave it out"),
    Other(("bsf",), "video", "name the streams: -bsf:v or -bsf:a"),
    Other(("bits_per_raw_sample",), "video", "leave it out: it is the stream's own"),
    Other(("apply_cropping",), "video", "put crop into -vf"),
    # Audio
    Other(("vol",), "audio", "use -af volume=..."),
    Other(("sample_fmt",), "audio", "use -af aformat=sample_fmts=..."),
    Other(("channel_layout", "ch_layout", "guess_layout_max"), "audio", "use -ac, or -af aformat=channel_layouts=..."),
    Other(("aframes", "dframes"), "audio", "use -t"),
    Other(("atag", "stag"), "audio", "leave it out: the container's own tag is used"),
    Other(("map_channel", "async", "adrift_threshold"), "audio", "use -af pan=..., or aresample=async=1"),
    # Subtitles
    Other(("fix_sub_duration", "canvas_size", "dcodec"), "subtitle", "subtitles are copied or converted as they are"),
    # Advanced
    Other(("filter_complex", "lavfi", "filter_complex_script", "/filter_complex", "/lavfi", "filter_complex_threads"),
          "advanced", "a graph has one input and one output: use -vf"),
    Other(("ignore_unknown", "copy_unknown"), "advanced", "unknown streams are never copied", 0),
    Other(("filter_threads", "filter_buffered_frames"), "advanced", "use -threads"),
    Other(("xerror",), "advanced", "always so: an error ends the run", 0),
    Other(("abort_on",), "advanced", "always so: an output without pictures is an error", 1),
    Other(("max_error_rate",), "advanced", "an error ends the run unless -err_detect ignore_err is given"),
    Other(("max_muxing_queue_size", "muxing_queue_data_threshold", "thread_queue_size"), "advanced",
          "queues are as long as they need to be", 1),
    Other(("find_stream_info",), "advanced", "always so", 0),
    Other(("auto_conversion_filters",), "advanced", "always so", 0),
    Other(("copyinkf", "copypriorss", "copytb", "dts_delta_threshold", "dts_error_threshold",
           "frame_drop_threshold"), "advanced", "leave it out"),
    Other(("shortest_buf_duration",), "advanced", "leave it out: the end is known before the first frame"),
    Other(("muxdelay", "muxpreload"), "advanced", "use -max_delay (microseconds)"),
    Other(("time_base", "enc_time_base"), "advanced", "times are exact to the container's tick"),
    Other(("sdp_file", "streamid"), "advanced", "leave it out"),
    Other(("timelimit",), "advanced", "use timeout(1)"),
    Other(("dump", "hex", "debug_ts", "benchmark_all", "print_graphs", "print_graphs_file", "print_graphs_format",
           "stats_enc_pre", "stats_enc_post", "stats_mux_pre", "stats_enc_pre_fmt", "stats_enc_post_fmt",
           "stats_mux_pre_fmt"), "advanced", "use -v debug"),
)  # fmt: skip
REFUSED = {name: other.text for other in OTHERS if other.args < 0 for name in other.names}
TAKEN = {name: other for other in OTHERS if other.args >= 0 for name in other.names}
