import socket
import sys

import pytest

from a2inet_jax.errors import EngineError
from a2inet_jax.features import ray_session


def test_an_address_without_a_cluster_is_reported() -> None:
    ray = ray_session.import_ray()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(EngineError, match=rf"no Ray cluster answers at {address}.*refused"):
            ray_session.connect(ray, address)


def test_missing_ray_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EngineError, match=r"needs Ray .*pip install 'a2inet-jax\[ray\]'"):
        ray_session.import_ray()


def test_one_line_is_the_last_line_of_an_error() -> None:
    assert (
        ray_session.one_line(ValueError("Traceback:\n  File\nKeyError: 'a'\n\n")) == "KeyError: 'a'"
    )
    assert ray_session.one_line(ValueError()) == "ValueError"
