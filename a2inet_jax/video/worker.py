"""The decoding process: answers one reader until the reader is gone.

Started as `python -m a2inet_jax.video.worker SOCKET SCRATCH`; imports NumPy and decord, nothing of JAX.

Requests: {"path", "indices": null} → information on the video; {"path", "indices", "chunk"} → one message for
each chunk of frames. A message {"error"} takes the place of the first that can't be given.
"""

import contextlib
import os
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np

from a2inet_jax.video import channel
from a2inet_jax.video.decode import Decoder, VideoError


def serve(sock: socket.socket, scratch: Path) -> None:
    """Answer requests until the other side closes the connection.

    Args:
      sock: connected to a `Reader`.
      scratch: folder that is this process's alone.
    """
    decoder: Decoder | None = None
    while True:
        request, _ = channel.receive(sock)
        path = Path(request["path"])
        try:
            # Asking for information opens the file anew: it may have changed.
            if decoder is None or decoder.path != path or request["indices"] is None:
                decoder = None  # closes the last one before the next is opened
                decoder = Decoder(path, scratch)
            _answer(sock, decoder, request)
        except VideoError as error:
            decoder = None
            channel.send(sock, {"error": error.reason})
        except (MemoryError, ValueError) as error:
            decoder = None
            channel.send(sock, {"error": f"can't be decoded ({type(error).__name__}: {error})"})


def _answer(sock: socket.socket, decoder: Decoder, request: dict[str, Any]) -> None:
    if request["indices"] is None:
        info = decoder.info
        channel.send(sock, {"height": info.height, "width": info.width}, info.timestamps)
        return
    indices, chunk = request["indices"], request["chunk"]
    frames = decoder.read(indices)
    for start in range(0, len(indices), chunk):
        number = min(chunk, len(indices) - start)
        part = np.empty((number, decoder.info.height, decoder.info.width, 3), np.uint8)
        for place, frame in zip(part, frames):
            place[:] = frame
        channel.send(sock, {}, part)


def main() -> None:
    """Entry point of the process."""
    # decord and FFmpeg write to standard error whatever level they are told.
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, sys.stderr.fileno())
    # When the reader is gone, so is the reason to be here.
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        serve(socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2]))


if __name__ == "__main__":
    main()
