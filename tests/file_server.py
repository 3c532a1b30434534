"""A server of files over https on this computer, that fails as it is told to; and a proxy."""

from __future__ import annotations

import contextlib
import http.server
import os
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@dataclass
class Answering:
    """What servers hold, and how they answer.

    Attributes:
        files: Path -> content.
        ways: Path -> how the next requests are answered, one after the other; then as usual.
        asked: Path and Range header of each request.
        tag: ETag of all files; "" for none.
        url: The address, without a slash at its end.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    ways: dict[str, list[Way]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    tag: str = '"1"'
    url: str = ""


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers GET, by ranges too."""

    protocol_version = "HTTP/1.1"
    answering: Answering

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        self.answering.asked.append((self.path, wanted))
        ways = self.answering.ways.get(self.path, [])
        way = ways.pop(0) if ways else usual
        self.close_connection = True
        with contextlib.suppress(OSError):  # whoever asked has gone
            way(self, self.answering.files.get(self.path))

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def head(self, status: int, length: int | None, **headers: str) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()


Way = Callable[[Handler, bytes | None], None]


def usual(handler: Handler, content: bytes | None) -> None:
    """The file, or the part of it that is asked for if it is still the same."""
    if content is None:
        handler.head(404, 0)
        return
    tag = handler.answering.tag
    named = {"ETag": tag} if tag else {}
    found = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    if found is None or handler.headers.get("If-Range", tag) != tag:
        handler.head(200, len(content), **named)
        handler.wfile.write(content)
        return
    first, size = int(found[1]), len(content)
    if first >= size:
        handler.head(416, 0, Content_Range=f"bytes */{size}")
        return
    handler.head(206, size - first, Content_Range=f"bytes {first}-{size - 1}/{size}", **named)
    handler.wfile.write(content[first:])


def cut(after: int) -> Way:
    """The connection ends after some bytes of the answer's body."""

    def way(handler: Handler, content: bytes | None) -> None:
        whole = handler.wfile

        class Short:
            sent = -1  # the first that is written is the head

            def write(self, piece: bytes) -> None:
                if self.sent < 0:
                    self.sent = 0
                    whole.write(piece)
                    return
                whole.write(piece[: max(0, after - self.sent)])
                self.sent += len(piece)

            def flush(self) -> None:
                whole.flush()

        handler.wfile = Short()  # type: ignore[assignment]
        try:
            usual(handler, content)
        finally:
            handler.wfile = whole

    return way


def held(after: int, until: threading.Event) -> Way:
    """The rest comes when somebody says so."""

    def way(handler: Handler, content: bytes | None) -> None:
        assert content is not None
        handler.head(200, len(content), ETag=handler.answering.tag)
        handler.wfile.write(content[:after])
        handler.wfile.flush()
        until.wait(600)
        handler.wfile.write(content[after:])

    return way


def status(code: int, **headers: str) -> Way:
    """Nothing but a status."""
    return lambda handler, content: handler.head(code, 0, **headers)


def moved(target: str) -> Way:
    """Elsewhere."""
    return status(302, Location=target)


def plain(content: bytes, length: int | None = None, **headers: str) -> Way:
    """These bytes, whatever is asked for, with a length or none."""

    def way(handler: Handler, _: bytes | None) -> None:
        handler.head(200, length, **headers)
        handler.wfile.write(content)

    return way


@contextlib.contextmanager
def serving(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Answering]:
    """Starts a server with a certificate made for it, which this process and its children trust."""
    trustme = pytest.importorskip("trustme", reason="needs trustme, of requirements-dev.txt")
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "authority.pem"))
    answering = Answering()
    kind = type("OfThisServer", (Handler,), {"answering": answering})

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def finish_request(self, request: socket.socket, address: object) -> None:  # type: ignore[override]
            with contextlib.suppress(OSError), context.wrap_socket(request, True) as wrapped:
                super().finish_request(wrapped, address)  # type: ignore[arg-type]

    with Server(("127.0.0.1", 0), kind) as server:
        answering.url = f"https://localhost:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield answering
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def proxying() -> Iterator[tuple[str, list[str]]]:
    """Starts a proxy that makes tunnels; gives its address, and where the tunnels went to."""
    tunnels: list[str] = []

    class Tunnel(http.server.BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            tunnels.append(self.path)
            name, port = self.path.split(":")
            with socket.create_connection((name, int(port)), 10) as far:
                self.send_response(200)
                self.end_headers()
                back = threading.Thread(target=_pass_on, args=(far, self.connection), daemon=True)
                back.start()
                _pass_on(self.connection, far)
                back.join(10)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Tunnel) as server:
        server.daemon_threads, server.block_on_close = True, False
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", tunnels
        finally:
            server.shutdown()
            thread.join()


def _pass_on(near: socket.socket, far: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := near.recv(65536):
            far.sendall(piece)
        far.shutdown(socket.SHUT_WR)


def left_in(folder: Path) -> list[str]:
    """Names of all that lies in a folder; none if it is not there."""
    return sorted(os.listdir(folder)) if folder.is_dir() else []
