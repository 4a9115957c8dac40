"""Addresses: what is taken, what is refused, and what goes into ``:authority``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from containerd_aio._transport.address import Address
from containerd_aio.errors import InvalidArgumentError


@pytest.mark.parametrize(
    ("text", "path"),
    [
        pytest.param("/run/containerd/containerd.sock", "/run/containerd/containerd.sock", id="path"),
        pytest.param("unix:///run/c.sock", "/run/c.sock", id="unix"),
        pytest.param("/run//x/../c.sock", "/run/c.sock", id="made-plain"),
        pytest.param("/tmp/ü.sock", "/tmp/ü.sock", id="not-ascii"),
        pytest.param("/" + "x" * 106, "/" + "x" * 106, id="as-long-as-may-be"),
    ],
)
def test_a_socket_path(text: str, path: str) -> None:
    address = Address.parse(text)
    assert (address.path, address.host, address.port) == (path, None, None)
    assert str(address) == text
    assert address.authority == "localhost"


@pytest.mark.parametrize("text", ["c.sock", "unix://c.sock"])
def test_a_relative_path_is_of_the_directory_that_was_current(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/tmp")
    address = Address.parse(text)
    monkeypatch.chdir(tmp_path)
    assert address.path == "/tmp/c.sock"


@pytest.mark.parametrize(
    ("text", "host", "port", "authority"),
    [
        pytest.param("tcp://localhost:10000", "localhost", 10000, "localhost:10000", id="name"),
        pytest.param("tcp://10.0.0.1:1", "10.0.0.1", 1, "10.0.0.1:1", id="ipv4"),
        pytest.param("tcp://[::1]:65535", "::1", 65535, "[::1]:65535", id="ipv6"),
        pytest.param("tcp://[fe80::1%eth0]:7", "fe80::1%eth0", 7, "[fe80::1]:7", id="ipv6-zone"),
        pytest.param("tcp://my-proxy.example.com:443", "my-proxy.example.com", 443, None, id="dashes"),
    ],
)
def test_a_host_and_a_port(text: str, host: str, port: int, authority: str | None) -> None:
    address = Address.parse(text)
    assert (address.path, address.host, address.port) == (None, host, port)
    assert address.authority == (authority or f"{host}:{port}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "is empty", id="empty"),
        pytest.param("unix://", "names no path", id="unix-without-path"),
        pytest.param("/run/\0c.sock", "NUL", id="nul"),
        pytest.param("/" + "x" * 107, "longer than the 107 bytes", id="long"),
        pytest.param("/" + "ü" * 54, "longer than the 107 bytes", id="long-in-bytes-only"),
        pytest.param("tcp://localhost", "names no port", id="no-port"),
        pytest.param("tcp://localhost:", "names no port", id="empty-port"),
        pytest.param("tcp://:1234", "names no port", id="no-host"),
        pytest.param("tcp://localhost:http", "names no port", id="port-by-name"),
        pytest.param("tcp://localhost:٣", "names no port", id="foreign-digits"),
        pytest.param("tcp://localhost:0", "between 1 and 65535", id="port-0"),
        pytest.param("tcp://localhost:65536", "between 1 and 65535", id="port-too-large"),
        pytest.param("tcp://::1:80", "brackets", id="ipv6-without-brackets"),
        pytest.param("tcp://user@host:80", "not a name", id="user"),
        pytest.param("tcp://host/path:80", "not a name", id="path-in-host"),
        pytest.param("http://localhost:80", "unknown scheme 'http'", id="http"),
        pytest.param("npipe:////./pipe/containerd", "unknown scheme 'npipe'", id="windows"),
    ],
)
def test_anything_else_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=reason):
        Address.parse(text)


def test_a_relative_path_is_measured_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.chdir(deep)
    assert len(os.getcwd()) > 100
    with pytest.raises(InvalidArgumentError, match="longer"):
        Address.parse("c.sock")
