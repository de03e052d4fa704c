"""TLS sessions that are resumed on new connections to the same server.

A submission has a connection of its own. Resuming a session leaves out the exchange of
certificates, most of what the handshake costs. The server proves that it is the same one by knowing
the session's keys; one that does not know them must show its certificate, which is checked as ever.
No request is sent before the handshake has ended, so none can be repeated by the network.
"""

from __future__ import annotations

import functools
import ssl
from contextlib import suppress
from typing import Any

#: Sessions in a row that a server does not resume, after which it is not asked again.
MAX_REFUSALS = 3


@functools.cache
def default_context() -> ssl.SSLContext:
    """Return the context that checks certificates, which are read once in a process."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    context.sslobject_class = _Connection
    return context


class ResumingContext(ssl.SSLContext):
    """Client context for one server, by host and port: its connections resume the last session.

    It must be used for no other server, because a resumed connection shows no certificate. All
    connections are made by `default_context`. This one trusts no certificate itself.
    """

    def __new__(cls) -> ResumingContext:
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self) -> None:
        self._checking = default_context()
        self._session: ssl.SSLSession | None = None
        self._host: str | None = None  # for which the session was made
        self._refusals = 0

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002  as in the base class
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Return a connection, which an event loop asks for, with the saved session."""
        if session is None and server_hostname == self._host:
            session = self._session
        connection = self._checking.wrap_bio(
            incoming, outgoing, server_side, server_hostname, session
        )
        if isinstance(connection, _Connection):
            connection.context_to_tell, connection.offered = self, session
        return connection

    def forget(self) -> None:
        """Make a full handshake next, as the session may be why a connection failed."""
        self._session = None

    def established(self, connection: _Connection) -> None:
        """Save the session of a connection that has received data, if it is a new one.

        Earlier a server of TLS 1.3 has not yet sent it. To read it is costly.
        """
        if connection.session_reused:
            self._refusals = 0
            return
        if connection.offered is not self._session:
            return  # another connection has already replaced it
        self._refusals += connection.offered is not None
        self._session, self._host = None, connection.server_hostname
        if self._refusals < MAX_REFUSALS:
            with suppress(ValueError):  # a request has been sent: nothing may end the connection
                self._session = connection.session


class _Connection(ssl.SSLObject):
    """A connection that tells its context when it has received data for the first time."""

    context_to_tell: ResumingContext | None = None
    offered: ssl.SSLSession | None = None

    def read(self, len: int = 1024, buffer: Any = None) -> Any:  # noqa: A002  as in the base class
        data = super().read(len, buffer)
        if self.context_to_tell is not None:
            context, self.context_to_tell = self.context_to_tell, None
            context.established(self)
        return data
