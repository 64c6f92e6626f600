import threading
import time

import pytest

from a2inet_jax.features.sharing import Budget, DeviceQueue, Stopwatch


def run(*targets: object) -> None:
    threads = [threading.Thread(target=target) for target in targets]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.parametrize("slots", [1, 2])
def test_no_more_threads_than_slots(slots: int) -> None:
    queue = DeviceQueue(slots)
    lock = threading.Lock()
    present, most = 0, 0

    def work() -> None:
        nonlocal present, most
        for _ in range(3):
            with queue.slot():
                with lock:
                    present += 1
                    most = max(most, present)
                time.sleep(0.01)
                with lock:
                    present -= 1

    run(*[work] * 5)
    assert most == slots
    # Fifteen times a hundredth of a second, in parallel where there are slots.
    assert 0.15 / slots <= queue.busy_s < 5


def test_idle_time_is_not_busy() -> None:
    queue = DeviceQueue()
    with queue.slot():
        time.sleep(0.05)
    busy_s = queue.busy_s
    time.sleep(0.2)
    with queue.slot(), queue.slot():
        pass
    assert 0.05 <= busy_s <= queue.busy_s < busy_s + 0.1


def test_an_error_releases_slot_and_budget() -> None:
    queue, budget = DeviceQueue(1), Budget(10)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), budget.reserve(10), queue.slot():
            raise ZeroDivisionError
    with budget.reserve(10), queue.slot():
        pass


def test_a_budget_is_not_exceeded() -> None:
    budget = Budget(100)
    lock = threading.Lock()
    reserved, most = 0, 0

    def work(amount: int) -> None:
        nonlocal reserved, most
        with budget.reserve(amount):
            with lock:
                reserved += amount
                most = max(most, reserved)
            time.sleep(0.02)
            with lock:
                reserved -= amount

    run(*[lambda amount=amount: work(amount) for amount in (60, 50, 40, 30, 100, 10)])
    assert 60 <= most <= 100


def test_a_request_above_the_total_runs_alone() -> None:
    budget = Budget(100)
    order = []

    def large() -> None:
        with budget.reserve(1000):
            order.append("large in")
            time.sleep(0.1)
            order.append("large out")

    def small() -> None:
        time.sleep(0.03)
        with budget.reserve(1):
            order.append("small in")

    run(large, small)
    assert order == ["large in", "large out", "small in"]


def test_stopwatch_adds_up() -> None:
    watch = Stopwatch()
    assert watch["nothing"] == 0

    def work() -> None:
        with watch.time("sleep"):
            time.sleep(0.02)

    run(*[work] * 3)
    assert 0.06 <= watch["sleep"] < 5


def test_small_requests_do_not_overtake_a_large_one() -> None:
    budget = Budget(100)
    order = []

    def reserve(name: str, amount: int, delay: float) -> None:
        time.sleep(delay)
        with budget.reserve(amount):
            order.append(name)
            time.sleep(0.2)

    run(
        lambda: reserve("first", 10, 0),
        lambda: reserve("large", 100, 0.05),
        lambda: reserve("small", 10, 0.1),
    )
    assert order == ["first", "large", "small"]


def test_busy_time_is_counted_without_a_slot() -> None:
    queue = DeviceQueue(1)
    with queue.slot(), queue.count_as_busy():
        time.sleep(0.02)
    assert 0.02 <= queue.busy_s < 5
