"""A local server that fails in the ways real servers do."""

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Server(ThreadingHTTPServer):
    """A server of `files`. Each request is answered with the next fault in `faults`, if there is one.

    Attributes:
        files: Path → content.
        faults: Changes of the next answers, see `Handler`.
        asked: Headers of the requests so far.
        url: Address of the server.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.faults: list[dict[str, Any]] = []
        self.asked: list[Message] = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """Clients that hang up are expected."""


class Handler(BaseHTTPRequestHandler):
    """GET and HEAD with Range and If-Range. A fault is a dict that changes one answer.

    `status`: the status code. `location`: redirect to this address. `cut`: send only so many bytes of the
    body. `silence`: wait so many seconds after them. `ranges` False: ignore Range. `trust`: ignore If-Range.
    `shift`: start so many bytes after the requested one. `content`: the body, in place of the file's.
    `etag`, `date`: the headers; None for none.
    """

    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.headers)
        fault = self.server.faults.pop(0) if self.server.faults else {}
        content = fault.get("content", self.server.files.get(self.path))
        if "location" in fault:
            self._answer(302, {"Location": fault["location"]})
        elif "status" in fault or content is None:
            self._answer(fault.get("status", 404), {})
        else:
            self._serve(content, fault)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _serve(self, content: bytes, fault: dict[str, Any]) -> None:
        etag = fault.get("etag", f'"{hashlib.sha256(content).hexdigest()}"')
        headers = {"X-Repo-Commit": COMMIT}
        headers |= {"ETag": etag} if etag else {}
        headers |= {"Last-Modified": fault["date"]} if "date" in fault else {}
        start, status = 0, 200
        same_file = self.headers["If-Range"] in (None, etag, fault.get("date")) or fault.get(
            "trust"
        )
        if "Range" in self.headers and same_file and fault.get("ranges", True):
            start, status = int(self.headers["Range"].removeprefix("bytes=").rstrip("-")), 206
            if start >= len(content):
                self._answer(416, {"Content-Range": f"bytes */{len(content)}"})
                return
            start += fault.get("shift", 0)
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:]
        self._answer(status, {**headers, "Content-Length": str(len(body))})
        if self.command == "GET":
            self.wfile.write(body[: fault.get("cut", len(body))])
            self.wfile.flush()
            time.sleep(fault.get("silence", 0))

    def _answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def serving() -> Iterator[Server]:
    """Run a server in a thread."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
