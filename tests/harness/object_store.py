"""An S3-compatible server (moto) in a process of its own, reached over a socket.

Every pytest process starts one when a test first needs it. Its objects are in memory; it ends with
the process that started it. As S3 does, it refuses to overwrite an object if the request says
`If-None-Match: *`.
"""

from __future__ import annotations

import functools
import itertools
import subprocess
import sys
import threading
import urllib.request
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import obstore
from obstore.store import S3Store

#: Credentials that no message, log or page may contain.
KEY_ID, SECRET = "AKIA-must-not-leak", "secret-that-must-not-leak"

_SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
_numbers = itertools.count(1)


class ObjectServer:
    """One running server."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVER],
            stdin=subprocess.PIPE,  # closed when this process ends, and the server ends too
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        self.environment = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }

    def new_bucket(self) -> Bucket:
        """Return an empty bucket that no other test uses."""
        bucket = Bucket(self.url, f"cards-{next(_numbers)}")
        bucket.request("PUT")
        return bucket


class Bucket:
    """A bucket, and the view of its objects from outside."""

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self._url = f"{url}/{name}"
        self._store = S3Store(
            name,
            endpoint=url,
            access_key_id=KEY_ID,
            secret_access_key=SECRET,
            client_options={"allow_http": True},
        )

    def request(self, method: str) -> None:
        """Create (PUT) or remove (DELETE) the bucket."""
        urllib.request.urlopen(urllib.request.Request(self._url, method=method)).close()  # noqa: S310

    def put(self, name: str, content: bytes) -> None:
        obstore.put(self._store, name, content)

    def remove(self, name: str) -> None:
        obstore.delete(self._store, name)

    def names(self) -> list[str]:
        """Return the name of every object."""
        return sorted(one["path"] for page in obstore.list(self._store) for one in page)

    def objects(self) -> dict[str, bytes]:
        """Return every object by its name."""
        return {name: bytes(obstore.get(self._store, name).bytes()) for name in self.names()}

    def media_type(self, name: str) -> str | None:
        """Return the Content-Type of an object."""
        return obstore.get(self._store, name).attributes.get("Content-Type")


class FaultyServer:
    """A server in front of another, in threads of this process, that fails as a test says."""

    def __init__(self, url: str) -> None:
        self.faults: list[str] = []  #: for the next PUTs: "lose" an answer, or "drop" a request
        self.status: int | None = None  #: of every answer; None: that of the other server
        self.conditions = True  #: whether `If-None-Match` is passed on
        self.puts = 0
        self.refused_after: int | None = None  #: this many PUTs, the next ones are refused (403)
        target = urlsplit(url).netloc

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            do_PUT = do_GET = do_HEAD = do_DELETE = do_POST = (  # noqa: N815
                lambda handler: self._answer(handler, target)
            )

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.02], daemon=True)
        self._thread.start()

    def _answer(self, handler: BaseHTTPRequestHandler, target: str) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        is_put = handler.command == "PUT"
        self.puts += is_put
        fault = self.faults.pop(0) if is_put and self.faults else None
        handler.close_connection = True
        status = self.status
        if is_put and self.refused_after is not None and self.puts > self.refused_after:
            status = 403
        if status is not None:
            handler.send_response(status)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
        elif fault != "drop":
            passed = {
                name: value
                for name, value in handler.headers.items()
                if self.conditions or name.lower() != "if-none-match"
            }
            other = HTTPConnection(target)
            other.request(handler.command, handler.path, body, passed)
            answer = other.getresponse()
            content = answer.read()
            if fault != "lose":
                handler.send_response(answer.status)
                for name, value in answer.getheaders():
                    handler.send_header(name, value)
                handler.end_headers()
                handler.wfile.write(content)
            other.close()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@functools.cache
def object_server() -> ObjectServer:
    """Return this process's server."""
    return ObjectServer()
