"""Keeps Terraform's states in memory, as its backend "http" wants.

The local backend writes the whole state to a file after every resource, and would
take most of the time of an apply.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["keeping_states"]


@contextmanager
def keeping_states() -> Iterator[str]:
    """Serve states by path; yield the URL above them."""
    states: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state = states.get(self.path)
            self._answer(404 if state is None else 200, state or b"")

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            states[self.path] = self.rfile.read(length)
            self._answer(200, b"")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, name="states")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
