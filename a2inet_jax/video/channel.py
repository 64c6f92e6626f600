"""Messages between two processes over a socket: a small JSON header, then, if there is one, an array.

The array goes from the sender's memory to the receiver's with nothing in between but the kernel, and a sender
that is ahead blocks until the receiver comes: this bounds the memory.
"""

import json
import math
import socket
import struct
import time
from typing import Any

import numpy as np

_LENGTH = struct.Struct("!Q")


def send(sock: socket.socket, header: dict[str, Any], array: np.ndarray | None = None) -> None:
    """Send one message; returns when the receiver's side has taken all of it.

    Args:
      sock: a stream socket.
      header: JSON values; `shape` and `dtype` are reserved.
      array: of any numeric dtype, not empty.
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
    """Wait for one message.

    Args:
      sock: a stream socket.
      timeout_s: seconds until the whole message must be there.

    Returns:
      The header, and the array (the receiver's own memory) or None.

    Raises:
      TimeoutError: the time is over.
      EOFError: the other side is gone.
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
        # A timeout of exactly 0 would mean "don't wait" to the socket.
        left = max(deadline - time.monotonic(), 1e-6)
        sock.settimeout(None if math.isinf(left) else left)
        try:
            taken = sock.recv_into(view)
        except ConnectionResetError:
            taken = 0
        if not taken:
            raise EOFError("the other side closed the connection")
        view = view[taken:]
