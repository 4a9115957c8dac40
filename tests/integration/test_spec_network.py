"""The network of a container on the real daemon: the host's, and one that somebody made for it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from containerd_aio import Client, Image, spec

pytestmark = pytest.mark.integration


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """The port of a web server on this host's loopback, which greets."""

    async def greet(stream: SocketStream) -> None:
        async with stream:
            request = await stream.receive()
            path = request.split()[1]
            await stream.send(b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nhello from " + path)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, greet)
        yield listener.extra(SocketAttribute.local_port)
        group.cancel_scope.cancel()


async def test_a_first_wget_works_in_the_hosts_network(client: Client, image: Image, port: int) -> None:
    """The name stands in this host's /etc/hosts; the image has none, and no resolver either."""
    command = (
        f"wget -q -O - http://localhost:{port}/there; echo; cat /etc/resolv.conf; readlink /proc/self/ns/net"
    )
    done = await client.run(image, ["sh", "-c", command], options=[spec.host_network()], check=True)
    greeting, rest = done.stdout.decode().split("\n", 1)
    assert greeting == "hello from /there"
    ours = os.readlink("/proc/self/ns/net")
    assert rest == Path("/etc/resolv.conf").read_text() + f"{ours}\n"


@pytest.mark.parametrize(
    ("options", "url"),
    [
        pytest.param([spec.host_namespace("network")], "http://localhost:{}/", id="no names"),
        pytest.param([spec.host_hosts()], "http://127.0.0.1:{}/", id="no network"),
    ],
)
async def test_each_part_of_the_hosts_network_is_needed(
    client: Client, image: Image, port: int, options: list[spec.SpecOption], url: str
) -> None:
    done = await client.run(image, ["wget", "-q", "-O", "-", url.format(port)], options=options)
    assert done.exit_status.code == 1
    assert b"bad address" in done.stderr or b"can't connect" in done.stderr


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Path]:
    """A network namespace of its own address, as ``ip netns add`` makes one."""
    path = tmp_path / "network"
    path.touch()
    line = [
        "unshare",
        f"--net={path}",
        "sh",
        "-c",
        "ip link set lo up && ip address add 10.98.76.54/32 dev lo",
    ]
    subprocess.run(line, check=True)
    yield path
    subprocess.run(["umount", path], check=True)


async def test_a_network_made_for_the_container_is_joined(
    client: Client, image: Image, network: Path
) -> None:
    options = [spec.network_namespace(network), spec.hostname("web")]
    # httpd goes into the background when it listens.
    command = "readlink /proc/self/ns/net; mkdir /www; echo hello > /www/there;"
    command += " httpd -h /www -p 10.98.76.54:8080 && wget -q -O - http://10.98.76.54:8080/there"
    done = await client.run(image, ["sh", "-c", command], options=options, check=True)
    assert done.stdout.decode().splitlines() == [f"net:[{os.stat(network).st_ino}]", "hello"]
