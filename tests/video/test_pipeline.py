import threading
import time

import pytest

from sorakit.video._pipeline import run_stages


def counting(n, closed):
    try:
        yield from range(n)
    finally:
        closed.append(True)


def test_all_items_in_order():
    seen, closed = [], []
    run_stages(counting(500, closed), lambda i: i * 2, seen.append)
    assert seen == [2 * i for i in range(500)]
    assert closed == [True]


@pytest.mark.parametrize("where", ["source", "work", "sink"])
def test_the_first_error_is_raised_and_threads_end(where):
    closed = []
    before = threading.active_count()

    def source():
        try:
            for i in range(10_000):
                if where == "source" and i == 7:
                    raise ValueError("source")
                yield i
        finally:
            closed.append(True)

    def work(i):
        if where == "work" and i == 7:
            raise ValueError("work")
        return i

    def sink(i):
        if where == "sink" and i == 7:
            raise ValueError("sink")

    with pytest.raises(ValueError, match=where):
        run_stages(source(), work, sink)
    assert closed == [True]
    assert threading.active_count() == before


def test_ctrl_c_in_the_sink_stops_all():
    closed = []

    def sink(i):
        if i == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_stages(counting(10**9, closed), lambda i: i, sink)
    assert closed == [True]


def test_queues_are_bounded():
    made, most = [0], [0]

    def source():
        for _ in range(60):
            made[0] += 1
            yield made[0]

    def sink(i):
        time.sleep(0.002)
        most[0] = max(most[0], made[0] - i)

    run_stages(source(), lambda i: i, sink, depth=3)
    assert most[0] <= 3 + 3 + 3  # two queues, and one item in each stage's hands


def test_the_sink_runs_in_the_callers_thread():
    names = set()
    run_stages((i for i in range(3)), lambda i: i, lambda i: names.add(threading.current_thread().name))
    assert names == {threading.current_thread().name}
