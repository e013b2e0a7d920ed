"""Where reports of progress go: files, pipes and sockets, by libavformat's URLs."""

from __future__ import annotations

import os
import re
import socket
from typing import Protocol

_PATIENCE = 5.0  # seconds that a reader on a socket may take; a file or pipe may take as long as it likes


class Sink(Protocol):
    """Bytes go in as whole blocks. Both raise OSError when nobody takes them."""

    def write(self, block: bytes) -> None: ...

    def close(self) -> None: ...


class _File:
    def __init__(self, file: int | str) -> None:
        self._file = open(file, "wb", buffering=0)  # noqa: SIM115 (closed by close)

    def write(self, block: bytes) -> None:
        while block:
            block = block[self._file.write(block) :]

    def close(self) -> None:
        self._file.close()


class _Socket:
    def __init__(self, link: socket.socket) -> None:
        self._link = link
        link.settimeout(_PATIENCE)

    def write(self, block: bytes) -> None:
        self._link.sendall(block)

    def close(self) -> None:
        self._link.close()


class _Post:
    """One HTTP request whose body goes on as long as the run, in chunks, as libavformat writes to http."""

    def __init__(self, url: str) -> None:
        from http.client import HTTPConnection, HTTPException, HTTPSConnection
        from urllib.parse import urlsplit

        parts = urlsplit(url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._errors = HTTPException
        self._link = kind(parts.hostname or "", parts.port, timeout=_PATIENCE)
        try:
            self._link.putrequest("POST", parts.path + ("?" + parts.query if parts.query else "") or "/")
            self._link.putheader("Transfer-Encoding", "chunked")
            self._link.endheaders()
        except HTTPException as error:
            raise OSError(str(error)) from error

    def write(self, block: bytes) -> None:
        self._link.send(b"%x\r\n%s\r\n" % (len(block), block))

    def close(self) -> None:
        try:
            self._link.send(b"0\r\n\r\n")
            self._link.getresponse().read()
        except self._errors as error:
            raise OSError(str(error)) from error
        finally:
            self._link.close()


def open_sink(url: str) -> Sink:
    """Open a path, file:PATH, "-", pipe:N, tcp://, udp://, unix:PATH, http:// or https://. Raises OSError or ValueError
    with what is wrong."""
    if url == "-" or url.startswith("pipe:"):
        number = url.removeprefix("pipe:").strip("-")
        if number and not number.isdecimal():
            raise ValueError("no such pipe")
        return _File(os.dup(int(number or 1)))
    scheme = re.match(r"([a-z][a-z0-9+.-]+):", url)
    kind = scheme[1] if scheme else "file"
    if kind == "file":
        return _File(url.removeprefix("file:"))
    if kind == "unix":
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            link.connect(url.removeprefix("unix:"))
        except OSError:
            link.close()
            raise
        return _Socket(link)
    if kind in ("http", "https"):
        return _Post(url)
    if kind not in ("tcp", "udp"):
        raise ValueError(f"no protocol '{kind}' (use a file, pipe:1, tcp://, udp://, unix: or http://)")
    address = re.fullmatch(r"(?:tcp|udp)://(?:\[([0-9a-fA-F:.]+)\]|([^:/?\[\]]+)):([0-9]{1,5})(?:[/?].*)?", url)
    if address is None:
        raise ValueError(f"not {kind}://HOST:PORT")
    host, port = address[1] or address[2], int(address[3])
    if kind == "tcp":
        return _Socket(socket.create_connection((host, port), _PATIENCE))
    family = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0][0]
    link = socket.socket(family, socket.SOCK_DGRAM)
    link.connect((host, port))
    return _Socket(link)
