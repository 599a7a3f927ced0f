"""A small HTTP server that writes down what it gets and answers what it was told to."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Got:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.body)
        return loaded


@dataclass
class Receiver:
    """`answers` are given one after another, the last one for ever: a status and a body each."""

    url: str = ""
    answers: list[tuple[int, bytes]] = field(default_factory=lambda: [(200, b"{}")])
    got: list[Got] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)
    """Nothing is answered before this is set."""

    def answer(self) -> tuple[int, bytes]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    receiver.hold.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            receiver.got.append(Got(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            receiver.hold.wait()
            status, answer = receiver.answer()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.send_header("Location", f"{receiver.url}/elsewhere")
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST  # noqa: N815  # the name that http.server looks for

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # http.server's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield receiver
    finally:
        receiver.hold.set()
        server.shutdown()
        server.server_close()
        thread.join()
