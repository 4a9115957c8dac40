"""Where a containerd listens: a unix socket, or a TLS proxy's host and port."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Final

from containerd_aio.errors import InvalidArgumentError

_LONGEST_PATH: Final = 107
"""Bytes in a unix socket's path: ``sun_path`` of Linux is 108 with its closing NUL (unix(7))."""

_HOST: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?")
_IPV6: Final = re.compile(r"\[([0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?)\]")


@dataclass(frozen=True, slots=True)
class Address:
    """An address taken apart: either ``path`` is set, or ``host`` and ``port`` are."""

    text: str
    path: str | None = None
    host: str | None = None
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Address:
        """Take apart ``/path``, ``unix:///path`` or ``tcp://host:port``.

        A relative path (``run/containerd.sock``, ``unix://run/…``) is taken from the working directory of now,
        so that a later ``chdir()`` changes nothing. An IPv6 host stands in brackets.

        :raises InvalidArgumentError: for anything else, and for a path longer than a socket's may be
        """
        if not text:
            raise InvalidArgumentError("the address of containerd is empty")
        if "\0" in text:
            raise InvalidArgumentError(f"the address {text!r} holds a NUL")
        scheme, separator, rest = text.partition("://")
        if not separator:
            return cls(text, path=_socket_path(text, text))
        if scheme == "unix":
            return cls(text, path=_socket_path(text, rest))
        if scheme == "tcp":
            host, port = _host_and_port(text, rest)
            return cls(text, host=host, port=port)
        raise InvalidArgumentError(
            f"the address {text!r} has the unknown scheme {scheme!r}: give a path, unix:///path or tcp://host:port"
        )

    @property
    def authority(self) -> str:
        """What goes into ``:authority``: a plain host, since newer servers refuse a socket's path there."""
        if self.host is None:
            return "localhost"
        host = f"[{self.host.partition('%')[0]}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        return self.text


def _socket_path(text: str, path: str) -> str:
    if not path:
        raise InvalidArgumentError(f"the address {text!r} names no path")
    absolute = os.path.abspath(path)
    if len(os.fsencode(absolute)) > _LONGEST_PATH:
        raise InvalidArgumentError(
            f"the socket path {absolute!r} is longer than the {_LONGEST_PATH} bytes that a unix socket may have"
        )
    return absolute


def _host_and_port(text: str, rest: str) -> tuple[str, int]:
    host, colon, port = rest.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit():
        raise InvalidArgumentError(f"the address {text!r} names no port: tcp://host:port is meant")
    if not 0 < int(port) < 65536:
        raise InvalidArgumentError(f"the port of the address {text!r} is not between 1 and 65535")
    if bracketed := _IPV6.fullmatch(host):
        return bracketed[1], int(port)
    if _HOST.fullmatch(host) is None:
        raise InvalidArgumentError(
            f"the host of the address {text!r} is not a name or number (an IPv6 address stands in brackets)"
        )
    return host, int(port)
