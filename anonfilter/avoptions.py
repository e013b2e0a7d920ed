"""Which names are options of libavcodec's encoders and libavformat's muxers and demuxers.

PyAV lists encoder options from version 18 on and never those of formats, so the formats' names stand here
(from `ffmpeg -h full`). Whether the encoder or muxer at hand takes an option is checked again when it is
opened.
"""

from __future__ import annotations

from functools import lru_cache

# AVFormatContext, and the muxers that people write video with.
MUXER = frozenset(
    """
    avioflags packetsize fflags max_delay flush_packets metadata_header_padding output_ts_offset
    max_interleave_delta f_strict avoid_negative_ts
    movflags moov_size skip_iods frag_duration min_frag_duration frag_size frag_interleave
    video_track_timescale brand use_editlist fragment_index mov_gamma write_btrt write_tmcd write_prft
    movie_timescale empty_hdlr_name reserve_index_space cues_to_front cluster_size_limit cluster_time_limit
    dash live allow_raw_vfw flipped_raw_rgb write_crc32 default_mode
    update start_number strftime frame_pts atomic_writing
    hls_time hls_list_size hls_init_time hls_flags hls_segment_type hls_segment_filename hls_playlist_type
    segment_time segment_format segment_list segment_list_size reset_timestamps
    seg_duration window_size use_template use_timeline
    mpegts_flags mpegts_service_type mpegts_transport_stream_id pat_period sdt_period pcr_period muxrate
    flvflags final_delay loop page_duration serial_offset hash format_version write_index
    """.split()  # noqa: SIM905
)
# AVFormatContext, and the demuxers that need to be told something.
DEMUXER = frozenset(
    """
    avioflags probesize formatprobesize packetsize fflags seek2any analyzeduration cryptokey indexmem
    rtbufsize fpsprobesize err_detect use_wallclock_as_timestamps skip_initial_bytes correct_ts_overflow
    scan_all_pmts max_ts_probe max_probe_packets skip_estimate_duration_from_pts duration_probesize
    format_whitelist protocol_whitelist max_streams
    framerate pixel_format video_size start_number start_number_range pattern_type loop ts_from_file
    rtsp_transport rtsp_flags stimeout timeout reconnect reconnect_streamed reconnect_at_eof
    reconnect_delay_max reconnect_max_retries user_agent headers
    use_absolute_path seek_streams_individually ignore_editlist advanced_editlist ignore_chapters use_mfra_for
    enable_drefs input_format list_formats
    """.split()  # noqa: SIM905
)
_DEFAULT_ENCODER = "libx264"


@lru_cache
def _options(encoder: str) -> tuple[frozenset[str], frozenset[str]] | None:
    """Generic and private option names of an encoder; None where they cannot be listed."""
    from av.codec.context import CodecContext

    try:
        listing = CodecContext.create(encoder, "w").supported_options
    except AttributeError:  # PyAV 17
        return None
    except Exception:  # no such encoder: said with more words when it is opened
        return frozenset(), frozenset()
    options = listing() if callable(listing) else listing
    return frozenset(o.name for o in options.generic), frozenset(o.name for o in options.private)


@lru_cache
def _all_private() -> frozenset[str]:
    """Private option names of all encoders; a second's work, done only to word an error well."""
    import av

    names: set[str] = set()
    for encoder in av.codecs_available:
        found = _options(encoder)
        names |= found[1] if found else frozenset()
    return frozenset(names)


def is_generic_option(name: str) -> bool | None:
    """Whether name is an option of every codec context; None where that cannot be told."""
    options = _options(_DEFAULT_ENCODER)
    return None if options is None else name in options[0]


def encoder_takes(name: str, encoder: str | None) -> bool | None:
    """Whether an encoder (None: libx264) takes the option; None where that cannot be told."""
    options = _options(encoder or _DEFAULT_ENCODER)
    return None if options is None else name in options[0] or name in options[1]


def any_encoder_takes(name: str) -> bool | None:
    """Whether there is an encoder that takes the option; None where that cannot be told."""
    return encoder_takes(name, None) or (name in _all_private() if _options(_DEFAULT_ENCODER) else None)
