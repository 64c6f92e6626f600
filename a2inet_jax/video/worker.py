"""The decoding process: answers one reader until the reader is gone.

Started as `python -m a2inet_jax.video.worker SOCKET`; imports NumPy and decord, nothing of JAX.

Requests: {"path", "raw", "indices": null} → information on the video; with {"indices", "chunk"} → one message
for each chunk of frames. A message {"error"} takes the place of the first that can't be given. Every message
has {"decoding_s", "blocked_s"}: seconds since the one before it.
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
from a2inet_jax.video.raw import RawDecoder
from a2inet_jax.video.raw_format import RawFormat


class _Answers:
    """The way back to the reader, and a clock of what this process does.

    What lies between a request's arrival and a message, or between two messages, is decoding. Sending is
    being blocked, but for the processor's time that it takes to copy a message.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._blocked_s = 0.0
        self._since = 0.0

    def start(self) -> None:
        """A request has come."""
        self._since = time.monotonic()

    def send(self, header: dict[str, Any], array: np.ndarray | None = None) -> None:
        """Send one message with the seconds since the last."""
        before, busy = time.monotonic(), time.thread_time()
        seconds = {"decoding_s": before - self._since, "blocked_s": self._blocked_s}
        channel.send(self._sock, {**header, **seconds}, array)
        self._since = time.monotonic()
        self._blocked_s = max(0.0, self._since - before - (time.thread_time() - busy))


def serve(sock: socket.socket) -> None:
    """Answer requests until the other side closes the connection.

    Args:
      sock: connected to a `Reader`.
    """
    answers = _Answers(sock)
    decoder: Decoder | RawDecoder | None = None
    opened = None
    while True:
        request, _ = channel.receive(sock)
        answers.start()
        wanted = (request["path"], request["raw"])
        try:
            # Asking for information opens the file anew: it may have changed.
            if decoder is None or opened != wanted or request["indices"] is None:
                decoder = None  # closes the last one before the next is opened
                decoder = _open(Path(request["path"]), request["raw"])
                opened = wanted
            _answer(answers, decoder, request)
        except VideoError as error:
            decoder = None
            answers.send({"error": error.reason})
        except (MemoryError, OSError, ValueError) as error:
            decoder = None
            answers.send({"error": f"can't be decoded ({type(error).__name__}: {error})"})


def _open(path: Path, raw: dict[str, Any] | None) -> Decoder | RawDecoder:
    return Decoder(path) if raw is None else RawDecoder(path, RawFormat(**raw))


def _answer(answers: _Answers, decoder: Decoder | RawDecoder, request: dict[str, Any]) -> None:
    if request["indices"] is None:
        info = decoder.info
        answers.send({"height": info.height, "width": info.width}, info.timestamps)
        return
    indices, chunk = request["indices"], request["chunk"]
    frames = decoder.read(indices)
    for start in range(0, len(indices), chunk):
        number = min(chunk, len(indices) - start)
        part = np.empty((number, decoder.info.height, decoder.info.width, 3), np.uint8)
        for place, frame in zip(part, frames):
            place[:] = frame
        answers.send({}, part)


def _end_with(sock: socket.socket) -> None:
    """Wait until the other side is gone, then end this process, whatever it does, and its children."""
    hung_up = select.poll()
    hung_up.register(sock, 0)  # the end of a connection is told to who asks for nothing else
    hung_up.poll()
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    """Entry point of the process."""
    # decord and FFmpeg write to standard error whatever level they are told.
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, sys.stderr.fileno())
    sock = socket.socket(fileno=int(sys.argv[1]))
    threading.Thread(target=_end_with, args=(sock,), daemon=True).start()
    # When the reader is gone, so is the reason to be here.
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        serve(sock)


if __name__ == "__main__":
    main()
