"""The decoding process, which serves one `Reader` until that is gone.

Started as `python -m a2inet_jax.video.worker SOCKET`; imports NumPy and decord, but not JAX.

Requests and responses:
    {"path", "raw", "indices": null} → frame size and timestamps of the video
    {"path", "raw", "indices", "chunk"} → one message for each chunk of frames
{"error"} replaces the first message that cannot be sent. Every message also has {"decoding_s", "blocked_s"}:
seconds since the message before.
"""

import contextlib
import os
import select
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from a2inet_jax.errors import VideoError
from a2inet_jax.video import channel
from a2inet_jax.video.decode import Decoder
from a2inet_jax.video.raw import RawDecoder, RawFormat


def num_cpus() -> int:
    """Return the number of cores that this process may use: one decoding process for each."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
        channel.send(self._sock, {**header, **seconds}, array)
        self._since = time.monotonic()
        self._blocked_s = max(0.0, self._since - before - (time.thread_time() - cpu_before))


def serve(sock: socket.socket) -> None:
    """Answer the requests of a `Reader` until it closes the connection."""
    sender = _TimedSender(sock)
    decoder: Decoder | RawDecoder | None = None
    opened = None
    while True:
        request, _ = channel.receive(sock)
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
