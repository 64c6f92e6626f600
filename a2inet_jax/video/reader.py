"""Frames of video files, decoded by another process that may crash or hang without harm to this one."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np

import a2inet_jax
from a2inet_jax.video import channel
from a2inet_jax.video.decode import VideoError, VideoInfo

_BUFFER_BYTES = 1 << 20


class Reader:
    """A decoding process that is started when needed and replaced when it dies or takes too long.

    While the caller works on a chunk of frames, the process decodes the next one, and no more: memory is
    bounded by the chunk, whatever the video's length. For one thread. Close it, or use it in a `with`
    statement.
    """

    def __init__(self, timeout_s: float = 60.0) -> None:
        """Nothing is started yet.

        Args:
          timeout_s: longest time to wait for a chunk of frames, seconds. Frames are decoded one after the
            other, so this covers all frames that lie before those of the chunk.
        """
        self._timeout_s = timeout_s
        self._scratch = tempfile.TemporaryDirectory(prefix="a2inet-", ignore_cleanup_errors=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._requests = 0
        self._unfinished = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Process id of the decoding process, None while there is none."""
        return self._process.pid if self._process else None

    def open(self, path: Path) -> VideoInfo:
        """Open a video and decode its first frame.

        Args:
          path: the video.

        Raises:
          VideoError: it can't be decoded, or decoding crashed or took too long.
        """
        self._request(path, {"indices": None})
        header, timestamps = self._receive(path)
        self._unfinished = False
        assert timestamps is not None
        return VideoInfo(len(timestamps), header["height"], header["width"], timestamps)

    def read(self, path: Path, indices: np.ndarray, chunk: int = 8) -> Iterator[np.ndarray]:
        """Decode frames in chunks.

        Args:
          path: the video.
          indices: which frames, ascending, [T] integers.
          chunk: frames at a time.

        Returns:
          Iterator over [n, height, width, 3] uint8 RGB, n = chunk but for the last. Another request to this
          reader ends it.

        Raises:
          ValueError: the indices are empty, negative or not in ascending order.
          VideoError: while iterating, as in `open`.
        """
        indices = np.asarray(indices)
        if not len(indices) or indices[0] < 0 or np.any(np.diff(indices) < 0):
            raise ValueError("indices must be ascending, and at least one")
        if chunk < 1:
            raise ValueError(f"chunk must be at least 1, is {chunk}")
        return self._chunks(path, indices.tolist(), chunk)

    def close(self) -> None:
        """End the decoding process and remove its files. The reader can't be used after this."""
        self._stop()
        self._scratch.cleanup()

    def _chunks(self, path: Path, indices: list[int], chunk: int) -> Iterator[np.ndarray]:
        self._request(path, {"indices": indices, "chunk": chunk})
        request = self._requests
        for start in range(0, len(indices), chunk):
            if request != self._requests:
                raise RuntimeError("the reader was given another request before this one ended")
            _, frames = self._receive(path)
            self._unfinished = start + chunk < len(indices)
            assert frames is not None
            yield frames

    def _request(self, path: Path, request: dict[str, Any]) -> None:
        # What is left of an abandoned request is on its way: a fresh process knows nothing of it.
        if self._unfinished or (self._process and self._process.poll() is not None):
            self._stop()
        if self._socket is None:
            self._start()
        assert self._socket is not None
        self._requests += 1
        self._unfinished = True
        self._socket.settimeout(self._timeout_s)
        # Where the process died or hangs, `_receive` is about to find out, and tells.
        with contextlib.suppress(OSError):
            channel.send(self._socket, {"path": os.fspath(path), **request})

    def _receive(self, path: Path) -> tuple[dict[str, Any], np.ndarray | None]:
        assert self._socket is not None
        try:
            header, array = channel.receive(self._socket, self._timeout_s)
        except TimeoutError:
            self._stop()
            raise VideoError(
                path, f"decoding took longer than {self._timeout_s:g} s and was stopped"
            ) from None
        except EOFError:
            status = self._stop()
            raise VideoError(path, f"decoding crashed ({_status_name(status)})") from None
        if "error" in header:
            self._unfinished = False
            raise VideoError(path, header["error"])
        return header, array

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            # Frames pass in fewer, larger pieces: some kernels take eight times as long with their default.
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
            root = Path(a2inet_jax.__file__).parents[1]
            search = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
            scratch = self._scratch.name
            # A session of its own: Ctrl-C is for the caller, and killing it takes its children along.
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "a2inet_jax.video.worker",
                    f"{theirs.fileno()}",
                    scratch,
                ],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": search},
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._socket = ours
        self._unfinished = False

    def _stop(self) -> int | None:
        """Kill the process if there is one; its exit status."""
        if self._process is None:
            return None
        assert self._socket is not None
        self._socket.close()
        self._socket = None
        # Once its status was read (`poll` does), its id may be another process's.
        if self._process.returncode is None:
            # A process that just ended and was not waited for: macOS refuses, Linux takes it.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        status = self._process.wait()
        self._process = None
        self._unfinished = False
        return status


def _status_name(status: int | None) -> str:
    if status is not None and status < 0:
        return f"signal {signal.Signals(-status).name}"
    return f"exit code {status}"
