"""Frames of video files, decoded by another process that may crash or hang without harm to this one."""

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np

import a2inet_jax
from a2inet_jax.errors import DecoderDiedError, VideoError
from a2inet_jax.video import channel
from a2inet_jax.video.info import VideoInfo
from a2inet_jax.video.raw_format import RawFormat

_BUFFER_BYTES = 1 << 20


class Reader:
    """A decoding process that is started when needed and replaced when it dies or takes too long.

    While the caller works on a chunk of frames, the process makes the next one, and no more: memory is
    bounded by the chunk and by what `decode` lets decoders do ahead, whatever the video's length. For one
    thread, but for `kill`. Close it, or use it in a `with` statement.

    Attributes:
      decoding_s: seconds that its processes spent opening and decoding so far.
      blocked_s: seconds that they could have, had their last frames been taken. Both are told with the next
        message, so that what a process did after its last one is not in them.
    """

    def __init__(self, timeout_s: float = 60.0) -> None:
        """Nothing is started yet.

        Args:
          timeout_s: longest time to wait for a chunk of frames, seconds. Frames are decoded one after the
            other, so this covers all frames that lie before those of the chunk.
        """
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._requests = 0
        self._unfinished = False
        self._killed = False
        # Held while the process and its socket are started, stopped or killed.
        self._lock = threading.Lock()
        self.decoding_s = 0.0
        self.blocked_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Process id of the decoding process, None while there is none."""
        return self._process.pid if self._process else None

    def open(self, path: Path, raw: RawFormat | None = None) -> VideoInfo:
        """Open a video and decode its first frame.

        Args:
          path: the video.
          raw: how frames lie in a file without a header.

        Raises:
          DecoderDiedError: decoding crashed, took too long or was killed.
          VideoError: the video can't be decoded.
        """
        self._request(path, raw, {"indices": None})
        header, timestamps = self._receive(path)
        self._unfinished = False
        assert timestamps is not None
        return VideoInfo(len(timestamps), header["height"], header["width"], timestamps)

    def read(
        self, path: Path, indices: np.ndarray, chunk: int = 8, raw: RawFormat | None = None
    ) -> Iterator[np.ndarray]:
        """Decode frames in chunks.

        Args:
          path: the video.
          indices: which frames, ascending, [T] integers.
          chunk: frames at a time.
          raw: as in `open`.

        Returns:
          Iterator over [n, height, width, 3] uint8 RGB, n = chunk but for the last. Another request to this
          reader ends it.

        Raises:
          ValueError: the indices are empty, negative or not in ascending order.
          DecoderDiedError, VideoError: while iterating, as in `open`.
        """
        indices = np.asarray(indices)
        if not len(indices) or indices[0] < 0 or np.any(np.diff(indices) < 0):
            raise ValueError("indices must be ascending, and at least one")
        if chunk < 1:
            raise ValueError(f"chunk must be at least 1, is {chunk}")
        return self._chunks(path, raw, indices.tolist(), chunk)

    def kill(self) -> None:
        """Kill the decoding process, whatever it does. May be called from any thread.

        A thread that waits for frames gets DecoderDiedError; the next request starts another process.
        """
        with self._lock:
            if self._process is None:
                return
            self._killed = True
            _kill_group(self._process)

    def close(self) -> None:
        """End the decoding process. The next request would start another."""
        self._stop()

    def _chunks(
        self, path: Path, raw: RawFormat | None, indices: list[int], chunk: int
    ) -> Iterator[np.ndarray]:
        self._request(path, raw, {"indices": indices, "chunk": chunk})
        request = self._requests
        for start in range(0, len(indices), chunk):
            if request != self._requests:
                raise RuntimeError("the reader was given another request before this one ended")
            _, frames = self._receive(path)
            self._unfinished = start + chunk < len(indices)
            assert frames is not None
            yield frames

    def _request(self, path: Path, raw: RawFormat | None, request: dict[str, Any]) -> None:
        # What is left of an abandoned request is on its way: a fresh process knows nothing of it.
        if self._unfinished or self._ended():
            self._stop()
        if self._socket is None:
            self._start()
        assert self._socket is not None
        self._requests += 1
        self._unfinished = True
        self._socket.settimeout(self._timeout_s)
        # Where the process died or hangs, `_receive` is about to find out, and tells.
        with contextlib.suppress(OSError):
            how = None if raw is None else dataclasses.asdict(raw)
            channel.send(self._socket, {"path": os.fspath(path), "raw": how, **request})

    def _receive(self, path: Path) -> tuple[dict[str, Any], np.ndarray | None]:
        assert self._socket is not None
        try:
            header, array = channel.receive(self._socket, self._timeout_s)
        except TimeoutError:
            self._stop()
            raise DecoderDiedError(
                path,
                f"decoding took longer than {self._timeout_s:g} s (features.timeout) and was stopped",
            ) from None
        except EOFError:
            killed, status = self._killed, self._stop()
            reason = "was stopped" if killed else f"crashed ({_status_name(status)})"
            raise DecoderDiedError(path, f"decoding {reason}") from None
        self.decoding_s += header["decoding_s"]
        self.blocked_s += header["blocked_s"]
        if "error" in header:
            self._unfinished = False
            raise VideoError(path, header["error"])
        return header, array

    def _ended(self) -> bool:
        with self._lock:
            return self._killed or (self._process is not None and self._process.poll() is not None)

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            # Frames pass in fewer, larger pieces: some kernels take eight times as long with their default.
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
            root = Path(a2inet_jax.__file__).parents[1]
            search = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
            command = [sys.executable, "-P", "-m", "a2inet_jax.video.worker"]
            # A session of its own: Ctrl-C is for the caller, and killing it takes its children along.
            process = subprocess.Popen(
                [*command, f"{theirs.fileno()}"],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": search},
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        with self._lock:
            self._process, self._socket = process, ours
        self._unfinished = False

    def _stop(self) -> int | None:
        """Kill the process if there is one; its exit status."""
        with self._lock:
            if self._process is None:
                return None
            assert self._socket is not None
            process, self._process = self._process, None
            self._socket.close()
            self._socket = None
            _kill_group(process)
            self._killed = False
        self._unfinished = False
        return process.wait()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    # Once its status was read (`poll` does), its id may be another process's.
    if process.returncode is None:
        # A process that just ended and was not waited for: macOS refuses, Linux takes it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def _status_name(status: int | None) -> str:
    if status is not None and status < 0:
        return f"signal {signal.Signals(-status).name}"
    return f"exit code {status}"
