"""Messages between two processes over a socket: a small JSON header and an optional array.

The kernel copies the array straight from the sender's memory into the receiver's. A sender that is ahead
blocks until the receiver reads, which bounds the memory.
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
