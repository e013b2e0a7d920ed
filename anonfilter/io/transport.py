"""Whether an MPEG transport stream was cut short: nothing says how long it is, but its packets have their sizes."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator

# ISO/IEC 13818-1: the byte that a packet begins with, and the size of one. M2TS puts 4 bytes of time in front, DVB-ASI
# and ATSC 16 bytes of checks behind.
_SYNC, _PACKET = 0x47, 188
_STRIDES = ((188, 0), (192, 4), (204, 0))  # bytes from packet to packet, bytes before the sync byte
_WINDOW = 4 << 20  # bytes at the end that are looked at: more than a second at 30 Mbit/s
_ENOUGH = 64  # packets that have to begin where they should


def cut(path: str, pids: Collection[int]) -> str:
    """Why the file at path is known to be cut short; "" for one that ends with whole packets, or is none.

    pids: the streams that are used. Where a recorder stopped between two packets of 188 bytes, a PES packet that states
    its length (sound does, pictures mostly do not) still tells.
    """
    with open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _WINDOW))
        tail = file.read()
    found = _alignment(tail)
    if found is None:
        return ""
    stride, lead, rest = found
    left = tail[len(tail) - rest :]
    # What is left may be padding: a packet begins like one.
    if left[lead : lead + 1] == bytes([_SYNC]):
        return f"its last packet has {rest} of {stride} bytes"
    for pid, short in _unfinished(tail, stride, lead, rest).items():
        if pid in pids:
            return f"the last packet of stream 0x{pid:x} is {short} bytes too short"
    return ""


def _alignment(tail: bytes) -> tuple[int, int, int] | None:
    """Distance of the packets, bytes before their sync byte, and bytes behind the last whole one; None where there are
    no packets."""
    for stride, lead in _STRIDES:
        count = min(_ENOUGH, len(tail) // stride - 1)
        if count < 5:
            continue
        for rest in range(stride):
            last = len(tail) - rest - stride + lead
            if all(tail[last - stride * k] == _SYNC for k in range(count)):
                return stride, lead, rest
    return None


def _unfinished(tail: bytes, stride: int, lead: int, rest: int) -> dict[int, int]:
    """Of each PID whose last PES packet states a length the bytes that are missing of it."""
    missing: dict[int, int] = {}
    for pid, start, payload in _payloads(tail, stride, lead, rest):
        if start:
            missing.pop(pid, None)
            # 0xBC and more: audio, video, private streams; a length of 0 says that the next packet ends this one.
            stated = int.from_bytes(payload[4:6], "big") if payload[:3] == b"\0\0\1" and len(payload) >= 6 else 0
            if stated:
                missing[pid] = stated + 6 - len(payload)
        elif pid in missing:
            missing[pid] -= len(payload)
    return {pid: count for pid, count in missing.items() if count > 0}


def _payloads(tail: bytes, stride: int, lead: int, rest: int) -> Iterator[tuple[int, bool, bytes]]:
    """PID, whether a PES packet begins there, and payload of each packet."""
    for at in range((len(tail) - rest) % stride + lead, len(tail) - rest, stride):
        packet = tail[at : at + _PACKET]
        if packet[0] != _SYNC or packet[1] & 0x80 or packet[3] & 0xC0 or not packet[3] & 0x10:
            continue  # out of step, marked wrong, scrambled, or without a payload
        begin = 5 + packet[4] if packet[3] & 0x20 else 4
        if begin < _PACKET:
            yield (packet[1] & 0x1F) << 8 | packet[2], bool(packet[1] & 0x40), packet[begin:]
