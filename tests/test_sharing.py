import threading
import time

import pytest

from a2inet_jax.features.sharing import Budget, Stopwatch, Turns


def run(*targets: object) -> None:
    threads = [threading.Thread(target=target) for target in targets]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.parametrize("places", [1, 2])
def test_no_more_threads_than_places(places: int) -> None:
    turns = Turns(places)
    lock = threading.Lock()
    present, most = 0, 0

    def work() -> None:
        nonlocal present, most
        for _ in range(3):
            with turns.take():
                with lock:
                    present += 1
                    most = max(most, present)
                time.sleep(0.01)
                with lock:
                    present -= 1

    run(*[work] * 5)
    assert most == places
    # 15 turns of a hundredth of a second, side by side where there are places.
    assert 0.15 / places <= turns.busy_s < 5


def test_time_without_anybody_does_not_count() -> None:
    turns = Turns()
    with turns.take():
        time.sleep(0.05)
    busy = turns.busy_s
    time.sleep(0.2)
    with turns.take(), turns.take():
        pass
    assert 0.05 <= busy <= turns.busy_s < busy + 0.1


def test_an_error_gives_the_place_back() -> None:
    turns, budget = Turns(1), Budget(10)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), budget.take(10), turns.take():
            raise ZeroDivisionError
    with budget.take(10), turns.take():
        pass


def test_a_budget_is_not_exceeded() -> None:
    budget = Budget(100)
    lock = threading.Lock()
    taken, most = 0, 0

    def work(amount: int) -> None:
        nonlocal taken, most
        with budget.take(amount):
            with lock:
                taken += amount
                most = max(most, taken)
            time.sleep(0.02)
            with lock:
                taken -= amount

    run(*[lambda amount=amount: work(amount) for amount in (60, 50, 40, 30, 100, 10)])
    assert 60 <= most <= 100


def test_who_needs_more_than_there_is_goes_alone() -> None:
    budget = Budget(100)
    order = []

    def large() -> None:
        with budget.take(1000):
            order.append("large in")
            time.sleep(0.1)
            order.append("large out")

    def small() -> None:
        time.sleep(0.03)
        with budget.take(1):
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


def test_small_amounts_do_not_pass_by_a_large_one() -> None:
    budget = Budget(100)
    order = []

    def take(name: str, amount: int, delay: float) -> None:
        time.sleep(delay)
        with budget.take(amount):
            order.append(name)
            time.sleep(0.2)

    run(
        lambda: take("first", 10, 0),
        lambda: take("large", 100, 0.05),
        lambda: take("small", 10, 0.1),
    )
    assert order == ["first", "large", "small"]


def test_being_beside_counts_without_a_place() -> None:
    turns = Turns(1)
    with turns.take(), turns.beside():
        time.sleep(0.02)
    assert 0.02 <= turns.busy_s < 5
