"""The one connection of a client to its containerd, opened on demand and again after a loss.

A connection belongs to the event loop that first uses it. Calls that are under way when it is lost fail, since
nobody can tell whether containerd did their work; the next call connects anew.
"""

from __future__ import annotations

import asyncio
import math
import ssl as tls
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from containerd_aio._transport.call import Caller
from containerd_aio._transport.dial import dial
from containerd_aio._transport.interruption import Interruption
from containerd_aio.errors import ClientClosedError, ConnectionLostError, InvalidArgumentError
from containerd_aio.types.identifier import check_identifier

if TYPE_CHECKING:
    from containerd_aio._transport.address import Address
    from containerd_aio._transport.protocol import ClientProtocol


class Connection:
    """A connection to the containerd at ``address``; no I/O before ``connect()`` or the first call.

    ``ssl`` is for ``tcp://`` addresses; ALPN ``h2`` is set on it. ``rpc_timeout`` is the deadline in seconds of
    calls that are quick by nature, and of opening the connection; ``None`` waits for ever.
    """

    def __init__(
        self, address: Address, *, ssl: tls.SSLContext | None = None, rpc_timeout: float | None = 30.0
    ) -> None:
        if ssl is not None and address.path is not None:
            raise InvalidArgumentError(f"ssl is for tcp:// addresses; {address} is a unix socket")
        if rpc_timeout is not None and not 0 < rpc_timeout < math.inf:
            raise InvalidArgumentError(
                f"rpc_timeout must be more than 0 seconds, or None; it is {rpc_timeout}"
            )
        if ssl is not None:
            ssl.set_alpn_protocols(["h2"])
        self.address = address
        self.rpc_timeout = rpc_timeout
        self.scheme = "http" if ssl is None else "https"
        self._ssl = ssl
        self._loop: asyncio.AbstractEventLoop | None = None
        self._dialling = asyncio.Lock()
        self._failures = 0
        self._failure = ""
        # One that takes new calls at most; the others let their last calls finish, or are about to be gone.
        self._protocols: set[ClientProtocol] = set()
        self._calls: set[Interruption] = set()
        self._closed = False

    @property
    def peer_pid(self) -> int | None:
        """The pid, as we see it, of who listens on the unix socket that is open; ``None`` where nobody can tell.

        The kernel notes it when a process begins to listen: systemd's, where it made the socket.
        """
        protocol = self._usable_protocol()
        return None if protocol is None else protocol.peer_pid

    def caller(self, namespace: str) -> Caller:
        """Return what makes calls in a namespace; ``""`` sends none.

        :raises InvalidArgumentError: if containerd would not take the name
        """
        if namespace:
            check_identifier("namespace", namespace)
        return Caller(self, namespace)

    async def connect(self) -> None:
        """Open the socket now, and wait until the server has spoken HTTP/2.

        Does nothing where it is open. If cancelled, nothing stays open.

        :raises ConnectionLostError: with the address, what is wrong, and the way out
        :raises ClientClosedError: after ``aclose()``
        """
        interruption = Interruption()
        with self.watching(interruption), interruption:
            await self.protocol()

    async def protocol(self) -> ClientProtocol:
        """Return the open connection, opening it if need be. For ``stream`` only."""
        self._check_usable()
        if (protocol := self._usable_protocol()) is not None:
            return protocol
        failures_seen = self._failures
        async with self._dialling:
            self._check_usable()
            if (protocol := self._usable_protocol()) is not None:
                return protocol
            if self._failures != failures_seen:
                # Another call tried while this one waited: its failure counts for all that waited with it.
                raise ConnectionLostError(self._failure)
            return await self._dial()

    async def _dial(self) -> ClientProtocol:
        try:
            protocol = await dial(self.address, tls=self._ssl, limit=self.rpc_timeout)
        except ConnectionLostError as exc:
            self._failures += 1
            self._failure = str(exc)
            raise
        self._protocols = {old for old in self._protocols if not old.gone.is_set()}
        self._protocols.add(protocol)
        return protocol

    def _usable_protocol(self) -> ClientProtocol | None:
        return next((protocol for protocol in self._protocols if protocol.usable), None)

    @contextmanager
    def watching(self, call: Interruption) -> Generator[None]:
        """Let ``aclose()`` interrupt the call while the block runs. For ``call`` only."""
        self._check_usable()
        self._calls.add(call)
        try:
            yield
        finally:
            self._calls.discard(call)

    async def aclose(self) -> None:
        """Close the socket; calls under way and later ones raise ``ClientClosedError``. Idempotent.

        Waits until the socket is closed, for a second at most. It is closed also if this is cancelled.
        """
        self._check_loop()
        self._closed = True
        for call in list(self._calls):
            call.cancel(ClientClosedError("the client was closed meanwhile, so what came of it is unknown"))
        while self._protocols:
            await self._protocols.pop().aclose()

    def _check_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise RuntimeError(
                "this client belongs to another event loop: make one for each loop, inside of it"
            )

    def _check_usable(self) -> None:
        self._check_loop()
        if self._closed:
            raise ClientClosedError("the client is closed")
