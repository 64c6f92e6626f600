import socket
import sys

import pytest

from a2inet_jax.errors import EngineError
from a2inet_jax.features import ray_cluster
from a2inet_jax.features.ray_cluster import Allocation, allocate


def test_an_address_without_a_cluster_is_reported() -> None:
    ray = ray_cluster.import_ray()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(EngineError, match=rf"no Ray cluster answers at {address}.*refused"):
            ray_cluster.connect(ray, address)


def test_missing_ray_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EngineError, match=r"needs Ray .*pip install 'a2inet-jax\[ray\]'"):
        ray_cluster.import_ray()


def test_one_line_is_the_last_line_of_an_error() -> None:
    assert (
        ray_cluster.one_line(ValueError("Traceback:\n  File\nKeyError: 'a'\n\n")) == "KeyError: 'a'"
    )
    assert ray_cluster.one_line(ValueError()) == "ValueError"


def test_allocation() -> None:
    gpu_node, head = {"CPU": 128.0, "GPU": 8.0}, {"CPU": 4.0, "memory": 1e9}
    assert allocate([gpu_node, gpu_node, head]) == Allocation(actors=16, cpus=15, gpus=1)
    assert allocate([gpu_node, gpu_node, head], actors=3) == Allocation(actors=3, cpus=15, gpus=1)
    assert allocate([{"CPU": 16.0}, {"CPU": 9.0}, {}]) == Allocation(actors=2, cpus=8, gpus=0)
    assert allocate([{"CPU": 16.0}, {"CPU": 9.0}], actors=3) == Allocation(actors=3, cpus=4, gpus=0)
    assert allocate([{"CPU": 1.0}]) == Allocation(actors=1, cpus=1, gpus=0)
    with pytest.raises(EngineError, match="9: the cluster has 8 GPUs"):
        allocate([gpu_node], actors=9)
    with pytest.raises(EngineError, match="0: the cluster has 0 CPUs"):
        allocate([{}])
    with pytest.raises(EngineError, match="3: the cluster has 2 CPUs"):
        allocate([{"CPU": 2.0}], actors=3)
