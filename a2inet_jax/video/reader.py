"""Reader of video files whose decoding process may crash or hang without harm, and threads with readers."""

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import numpy as np

from a2inet_jax.config import Features
from a2inet_jax.errors import DecoderDiedError, VideoError
from a2inet_jax.video.info import VideoInfo
from a2inet_jax.video.raw import RawFormat
from a2inet_jax.video.worker import receive, send

_BUFFER_BYTES = 1 << 20
_KILL_INTERVAL_S = 0.05


class Reader:
    """A decoding process that is started when needed and replaced when it dies or takes too long.

    While the caller works on a chunk of frames, the process decodes the next one, and no more: memory is
    bounded by the chunk and by what `decode` lets decoders decode ahead, whatever the video's length. Only
    `kill` is thread-safe. Close the reader, or use it in a `with` statement.

    Attributes:
        decoding_s: Seconds that its processes have spent opening and decoding so far.
        blocked_s: Seconds that they have waited for their frames to be read. Both are reported with the next
            message, so that what a process does after its last message is not included.
    """

    def __init__(self, timeout_s: float = Features.timeout_s) -> None:
        """Make a reader; the process starts with the first request.

        `timeout_s` is the longest time to wait for a chunk of frames, in seconds. Frames are decoded one
        after the other, so this covers all frames between the previous chunk and this one.
        """
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._num_requests = 0
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
        """Process id of the decoding process, or None if none is running."""
        return self._process.pid if self._process else None

    def open(self, path: Path, raw: RawFormat | None = None) -> VideoInfo:
        """Open a video and decode its first frame; `raw` is the layout of a file without a header.

        Raises:
            DecoderDiedError: Decoding crashed, took too long or was killed.
            VideoError: The video cannot be decoded.
        """
        self._request(path, raw, {"indices": None})
        header, timestamps = self._receive(path)
        self._unfinished = False
        assert timestamps is not None
        return VideoInfo(header["height"], header["width"], timestamps)

    def read(
        self,
        path: Path,
        indices: np.ndarray,
        chunk: int = Features.chunk_frames,
        raw: RawFormat | None = None,
    ) -> Iterator[np.ndarray]:
        """Decode frames in chunks.

        Args:
            path: The video.
            indices: Indices of frames, ascending, [T] integers.
            chunk: Number of frames at a time.
            raw: Layout of a file without a header.

        Returns:
            Iterator over [n, height, width, 3] uint8 RGB; n = chunk except for the last one. Another request
            to this reader invalidates it.

        Raises:
            ValueError: The indices are empty, negative or not in ascending order.
            DecoderDiedError, VideoError: While iterating, as in `open`.
        """
        indices = np.asarray(indices)
        if not len(indices) or indices[0] < 0 or np.any(np.diff(indices) < 0):
            raise ValueError("indices must be ascending, and there must be at least one")
        if chunk < 1:
            raise ValueError(f"chunk must be at least 1, is {chunk}")
        return self._chunks(path, raw, indices.tolist(), chunk)

    def kill(self) -> None:
        """Kill the decoding process at any moment and from any thread.

        A thread that waits for frames gets a DecoderDiedError; the next request starts another process.
        """
        with self._lock:
            if self._process is not None:
                self._killed = True
                _kill_group(self._process)

    def close(self) -> None:
        """End the decoding process; another request would start a new one."""
        self._stop()

    def _chunks(
        self, path: Path, raw: RawFormat | None, indices: list[int], chunk: int
    ) -> Iterator[np.ndarray]:
        self._request(path, raw, {"indices": indices, "chunk": chunk})
        request = self._num_requests
        for start in range(0, len(indices), chunk):
            if request != self._num_requests:
                raise RuntimeError("the reader was given another request before this one ended")
            _, frames = self._receive(path)
            self._unfinished = start + chunk < len(indices)
            assert frames is not None
            yield frames

    def _request(self, path: Path, raw: RawFormat | None, request: dict[str, Any]) -> None:
        with self._lock:
            ended = self._killed or (self._process and self._process.poll() is not None)
        # Messages of an abandoned request may still be in the socket; a new process has a new one.
        if self._unfinished or ended:
            self._stop()
        if self._socket is None:
            self._start()
        assert self._socket is not None
        self._num_requests += 1
        self._unfinished = True
        self._socket.settimeout(self._timeout_s)
        # If the process has died or hangs, `_receive` finds out next and raises.
        with contextlib.suppress(OSError):
            raw_fields = None if raw is None else dataclasses.asdict(raw)
            send(self._socket, {"path": os.fspath(path), "raw": raw_fields, **request})

    def _receive(self, path: Path) -> tuple[dict[str, Any], np.ndarray | None]:
        assert self._socket is not None
        try:
            header, array = receive(self._socket, self._timeout_s)
        except TimeoutError:
            self._stop()
            raise DecoderDiedError(
                path,
                f"decoding took longer than {self._timeout_s:g} s (features.timeout_s) and was stopped",
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

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            # A large buffer, so that frames pass in large pieces: with their default, some kernels take eight
            # times as long.
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
            root = Path(__file__).parents[2]
            python_path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
            command = [sys.executable, "-P", "-m", "a2inet_jax.video.worker"]
            # In a session of its own, it does not receive Ctrl-C, and can be killed with its children.
            process = subprocess.Popen(
                [*command, f"{theirs.fileno()}"],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": python_path},
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        with self._lock:
            self._process, self._socket = process, ours
        self._unfinished = False

    def _stop(self) -> int | None:
        """Kill the process if there is one, and return its exit status."""
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


@contextlib.contextmanager
def cancelling_pool(
    num_threads: int, readers: Sequence[Reader] = ()
) -> Iterator[Callable[..., Future[Any]]]:
    """Open a pool of threads; on leaving, cancel what waits, end what runs, and wait for the threads.

    `readers` are those that the threads use: they are killed, and should be closed afterwards. Yields the
    function that schedules a call, `submit(function, *args)`.
    """
    pool = ThreadPoolExecutor(num_threads)
    futures: list[Future[Any]] = []

    def submit(*call: Any) -> Future[Any]:
        future = pool.submit(*call)
        futures.append(future)
        return future

    try:
        yield submit
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        # A thread between two requests would start another process, so one kill may not be enough.
        while not all(future.done() for future in futures):
            for reader in readers:
                reader.kill()
            time.sleep(_KILL_INTERVAL_S)
        pool.shutdown()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    # Once its status has been read (`poll` does that), its id may belong to another process.
    if process.returncode is None:
        # macOS refuses to kill a process that has ended but has not been waited for.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def _status_name(status: int | None) -> str:
    if status is not None and status < 0:
        return f"signal {signal.Signals(-status).name}"
    return f"exit code {status}"
