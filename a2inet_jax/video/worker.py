"""The decoding process, which serves one `Reader` until that is gone.

Started as `python -m a2inet_jax.video.worker SOCKET`; imports NumPy and decord, but not JAX.

Requests and responses:
    {"path", "raw", "indices": null} → frame size and timestamps of the video
    {"path", "raw", "indices", "chunk"} → one message for each chunk of frames
{"error"} replaces the first message that cannot be sent. Every message also has {"decoding_s", "blocked_s"}:
seconds since the message before.

A message is a small JSON header and an optional array. The kernel copies the array straight from the sender's
memory into the receiver's. A sender that is ahead blocks until the receiver reads, which bounds the memory.
"""

import contextlib
import json
import math
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from a2inet_jax.errors import VideoError
from a2inet_jax.video.decode import Decoder
from a2inet_jax.video.raw import RawDecoder, RawFormat

_LENGTH = struct.Struct("!Q")


def num_cpus() -> int:
    """Return the number of cores that this process may use: one decoding process for each."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def send(sock: socket.socket, header: dict[str, Any], array: np.ndarray | None = None) -> None:
    """Send one message through a stream socket, blocking until the socket has accepted all of it.

    The header's keys `shape` and `dtype` are reserved; the array is of any numeric dtype and not empty.
    """
    if array is not None:
        header = {**header, "shape": array.shape, "dtype": array.dtype.str}
    body = json.dumps(header).encode()
    sock.sendall(_LENGTH.pack(len(body)) + body)
    if array is not None:
        sock.sendall(np.ascontiguousarray(array).data.cast("B"))


def receive(
    sock: socket.socket, timeout_s: float = math.inf
) -> tuple[dict[str, Any], np.ndarray | None]:
    """Wait for one message, of which all must arrive within `timeout_s`.

    Returns:
        The header, and the array (in memory of its own) or None.

    Raises:
        TimeoutError: The message did not arrive in time.
        EOFError: The other side closed the connection.
    """
    deadline = time.monotonic() + timeout_s
    length = bytearray(_LENGTH.size)
    _fill(sock, memoryview(length), deadline)
    body = bytearray(_LENGTH.unpack(length)[0])
    _fill(sock, memoryview(body), deadline)
    header = json.loads(body)
    if "shape" not in header:
        return header, None
    array = np.empty(header.pop("shape"), np.dtype(header.pop("dtype")))
    _fill(sock, array.data.cast("B"), deadline)
    return header, array


def _fill(sock: socket.socket, view: memoryview, deadline: float) -> None:
    while view:
        # Never exactly 0, which would make the socket non-blocking.
        remaining_s = max(deadline - time.monotonic(), 1e-6)
        sock.settimeout(None if math.isinf(remaining_s) else remaining_s)
        try:
            num_bytes = sock.recv_into(view)
        except ConnectionResetError:
            num_bytes = 0
        if not num_bytes:
            raise EOFError("the other side closed the connection")
        view = view[num_bytes:]


class _TimedSender:
    """Sender of messages that include how long decoding and sending took.

    The time between a request's arrival and a message, or between two messages, counts as decoding. The time
    of sending counts as blocked, except for the CPU time of copying the message.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._blocked_s = 0.0
        self._since = 0.0

    def start(self) -> None:
        """Start the clock when a request arrives."""
        self._since = time.monotonic()

    def send(self, header: dict[str, Any], array: np.ndarray | None = None) -> None:
        """Send one message with the seconds since the one before."""
        before, cpu_before = time.monotonic(), time.thread_time()
        seconds = {"decoding_s": before - self._since, "blocked_s": self._blocked_s}
        send(self._sock, {**header, **seconds}, array)
        self._since = time.monotonic()
        self._blocked_s = max(0.0, self._since - before - (time.thread_time() - cpu_before))


def serve(sock: socket.socket) -> None:
    """Answer the requests of a `Reader` until it closes the connection."""
    sender = _TimedSender(sock)
    decoder: Decoder | RawDecoder | None = None
    opened = None
    while True:
        request, _ = receive(sock)
        sender.start()
        video = (request["path"], request["raw"])
        try:
            # A request for information opens the file again, because it may have changed.
            if decoder is None or opened != video or request["indices"] is None:
                # Close the old decoder before opening a new one.
                decoder = None
                decoder = _open(Path(request["path"]), request["raw"])
                opened = video
            _answer(sender, decoder, request)
        except VideoError as error:
            decoder = None
            sender.send({"error": error.reason})
        except UnicodeEncodeError:
            decoder = None
            sender.send({"error": "cannot be decoded: its name is not UTF-8; rename it"})
        except (MemoryError, OSError, ValueError) as error:
            decoder = None
            sender.send({"error": f"cannot be decoded ({type(error).__name__}: {error})"})


def _open(path: Path, raw: dict[str, Any] | None) -> Decoder | RawDecoder:
    return Decoder(path) if raw is None else RawDecoder(path, RawFormat(**raw))


def _answer(sender: _TimedSender, decoder: Decoder | RawDecoder, request: dict[str, Any]) -> None:
    if request["indices"] is None:
        info = decoder.info
        sender.send({"height": info.height, "width": info.width}, info.timestamps)
        return
    indices, chunk = request["indices"], request["chunk"]
    frames = decoder.read(indices)
    for start in range(0, len(indices), chunk):
        num_frames = min(chunk, len(indices) - start)
        chunk_NxHxWx3 = np.empty((num_frames, decoder.info.height, decoder.info.width, 3), np.uint8)
        for slot_HxWx3, frame_HxWx3 in zip(chunk_NxHxWx3, frames):
            slot_HxWx3[:] = frame_HxWx3
        sender.send({}, chunk_NxHxWx3)


def _exit_with(sock: socket.socket) -> None:
    """Wait until the other side is gone, then kill this process and its children, whatever they do."""
    poll = select.poll()
    # An empty event mask: a hang-up is always reported.
    poll.register(sock, 0)
    poll.poll()
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    """Serve the socket whose descriptor is the first argument."""
    # decord and FFmpeg write to standard error at any log level.
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stderr.fileno())
    sock = socket.socket(fileno=int(sys.argv[1]))
    threading.Thread(target=_exit_with, args=(sock,), daemon=True).start()
    # Once the reader is gone, there is nothing left to do.
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        serve(sock)


if __name__ == "__main__":
    main()
