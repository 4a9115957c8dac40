"""The one connection of a client to its containerd, opened on demand and again after a loss.

A connection belongs to the event loop that first uses it. Calls that are under way when it is lost fail, since
nobody can tell whether containerd did their work; the next call connects anew.
"""

from __future__ import annotations

import asyncio
import ssl as tls
from typing import TYPE_CHECKING, Final

import anyio

from containerd_aio._transport.call import Caller
from containerd_aio._transport.dial import dial
from containerd_aio.errors import ClientClosedError, ConnectionLostError, InvalidArgumentError
from containerd_aio.types.identifier import check_identifier

if TYPE_CHECKING:
    from containerd_aio._transport.address import Address
    from containerd_aio._transport.protocol import ClientProtocol
    from containerd_aio._transport.stream import CallStream

_CLOSING: Final = 1.0
"""Seconds that a socket may take to close in good order: a frozen peer takes nothing any more."""


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
        if rpc_timeout is not None and not rpc_timeout > 0:
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
        self._failure: ConnectionLostError | None = None
        self._protocol: ClientProtocol | None = None
        self._calls: set[CallStream] = set()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether ``aclose()`` was called."""
        return self._closed

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
        await self.protocol()

    async def protocol(self) -> ClientProtocol:
        """Return the open connection, opening it if need be. For ``stream`` only."""
        self._check_usable()
        if self._protocol is not None and self._protocol.usable:
            return self._protocol
        failures_seen = self._failures
        async with self._dialling:
            self._check_usable()
            if self._protocol is not None and self._protocol.usable:
                return self._protocol
            if self._failure is not None and self._failures != failures_seen:
                # Another call tried while this one waited: its failure counts for all that waited with it.
                raise ConnectionLostError(str(self._failure)) from self._failure
            return await self._dial()

    async def _dial(self) -> ClientProtocol:
        try:
            protocol = await dial(self.address, tls=self._ssl, limit=self.rpc_timeout)
        except ConnectionLostError as exc:
            self._failures += 1
            self._failure = exc
            raise
        if self._closed:
            protocol.abort()
            self._check_usable()
        self._failure = None
        self._protocol = protocol
        return protocol

    def begin(self, call: CallStream) -> None:
        """Let ``aclose()`` interrupt the call from now on, until ``end()``. For ``call`` only."""
        self._check_usable()
        self._calls.add(call)

    def end(self, call: CallStream) -> None:
        """Forget the call and give up what is left of it. For ``call`` only."""
        self._calls.discard(call)
        call.close()

    async def aclose(self) -> None:
        """Close the socket; calls under way and later ones raise ``ClientClosedError``. Idempotent.

        Waits until the socket is closed, for a second or so; also when it is cancelled.
        """
        self._check_loop()
        self._closed = True
        for call in list(self._calls):
            call.interrupt(
                ClientClosedError("the client was closed under the call, whose outcome is unknown")
            )
        protocol, self._protocol = self._protocol, None
        if protocol is None:
            return
        protocol.close()
        with anyio.move_on_after(_CLOSING, shield=True):
            await protocol.gone.wait()
        if not protocol.gone.is_set():
            protocol.abort()
            with anyio.CancelScope(shield=True):
                await protocol.gone.wait()

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
