"""-bsf:v and -bsf:a: libavcodec's bitstream filters on coded packets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import av
import av.error
from av.bitstream import BitStreamFilterContext, bitstream_filters_available
from av.packet import Packet

from anonfilter.errors import OutputError
from anonfilter.io import logs
from anonfilter.values import hint


class Bitstream:
    """A chain of bitstream filters in front of the muxer. target: the stream that its packets get.

    option: as typed, for errors. text: "name=option=value:option=value,name". source: the stream whose codec parameters
    go in, target: the one that the packets are for. Raises OutputError for a chain that is wrong or that does not take
    this codec.
    """

    def __init__(self, option: str, text: str, source: Any, target: Any) -> None:
        self._name, self.target = f"{option} {text}", target
        for part in re.findall(r"(?:\\.|'[^']*'|[^,'\\])+", text):
            name = part.partition("=")[0].strip()
            if name not in bitstream_filters_available:
                found = hint(name, bitstream_filters_available)
                raise OutputError(f"{option} {text}: Unknown bitstream filter '{name}'{found}")
        with logs.captured() as said:
            try:
                self._filter = BitStreamFilterContext(text, source, target)
            except (av.error.FFmpegError, ValueError) as error:
                raise OutputError(f"{self._name}: {logs.reason(error, said)}") from error

    def feed(self, packet: Packet[Any] | None) -> Iterator[Packet[Any]]:
        """The packets that come out for one, or at the end for None. Raises OutputError."""
        with logs.captured() as said:
            try:
                made = self._filter.filter(packet)
            except (av.error.FFmpegError, ValueError) as error:
                raise OutputError(f"{self._name}: {logs.reason(error, said)}") from error
        for item in made:
            item.stream = self.target
            yield item


def of_encoder(option: str, text: str, stream: Any) -> Bitstream:
    """The chain for an encoder's packets. stream: the output's, its encoder open and the header not yet written: where
    the chain changes the codec's header (extradata), the file gets that one. Raises OutputError."""
    # PyAV gives a stream its codec parameters only with the header, and the chain needs them before: a stream like it,
    # in a file that nobody gets, has them now.
    context = stream.codec_context
    with av.open("trial", "w", format="null") as trial, logs.captured() as said:
        try:
            like: Any = trial.add_stream_from_template(stream, opaque=True)
            other: Any = trial.add_stream_from_template(stream, opaque=True)
            for made in (like, other):
                made.codec_context.extradata = context.extradata
                made.codec_context.profile = context.profile
            trial.start_encoding()
        except (av.error.FFmpegError, ValueError) as error:
            raise OutputError(f"{option} {text}: {logs.reason(error, said)}") from error
        chain = Bitstream(option, text, like, other)
        if other.codec_context.extradata != context.extradata:
            context.extradata = other.codec_context.extradata
    chain.target = stream
    return chain
