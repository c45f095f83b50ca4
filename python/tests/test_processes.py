"""Forked and spawned children, and what is left when processes end."""

import multiprocessing
import os
import signal
import sys
import threading
import time

import numpy as np
import pytest
from conftest import names

import cowshed


def asks(shm):
    """In a child: what it sees of two objects."""
    array = cowshed.cache("x", lambda: np.full(3, float(os.getpid())), shm_path=shm, verbose=False)
    made, _ = cowshed.cache("y", lambda: (np.full(2000, float(os.getpid())), "s"), shm_path=shm, verbose=False)
    return array[0], made[0], made.sum() == 2000 * made[0]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_every_kind_see_one_object(shm, method):
    with multiprocessing.get_context(method).Pool(4) as pool:
        seen = pool.map_async(asks, [shm] * 8).get(60)
    assert len({one[:2] for one in seen}) == 1 and all(one[2] for one in seen)
    assert names(shm) == ["sharearray_x.npy", "sharearray_y.cow"]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_reads_what_its_parent_opened_and_leaves_the_parents_lock(shm):
    opened = cowshed.cache("y", lambda: [np.arange(5000.0)], shm_path=shm, verbose=False)[0]

    def forks():
        pid = os.fork()
        if pid == 0:
            # The parent makes `x`; what the child inherits of its lock is closed, and its end removes nothing.
            os._exit(0 if opened.sum() == 12497500 and cowshed.list_cached(shm)[0].lock == "held" else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert "sharearray_x.npy.lock" in names(shm)
        return np.zeros(1)

    cowshed.cache("x", forks, shm_path=shm, verbose=False)
    assert names(shm) == ["sharearray_x.npy", "sharearray_y.cow"]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_that_outlives_the_maker_does_not_hold_its_lock(shm, child):
    code = """
def make():
    if os.fork() == 0:
        os.close(1); os.close(2)
        time.sleep(30)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)
cowshed.cache("x", make, shm_path=shm, verbose=False)
"""
    child(code).process.wait(30)
    assert cowshed.cache("x", np.ones(1), shm_path=shm, timeout=10, verbose=False)[0] == 1


def test_a_process_that_ends_leaves_nothing_but_the_objects(shm, child):
    status, _, err = child("cowshed.cache('x', lambda: {'a': np.arange(5000)}, shm_path=shm, verbose=False); a = cowshed.cache('x', shm_path=shm)").end()
    assert (status, err) == (0, "") and names(shm) == ["sharearray_x.cow"]


def test_arrays_outlive_the_modules_at_the_end_of_a_process(shm, child):
    code = """
import atexit
keep = cowshed.cache("x", lambda: [np.arange(5000.0)], shm_path=shm, verbose=False)
sys.modules["keeps-it"] = keep
atexit.register(lambda: print(keep[0].sum()))
"""
    assert child(code).end() == (0, "12497500.0\n", "")


def test_modules_are_imported_without_side_effects(child, shm):
    assert child("print(os.listdir(shm), 'multiprocessing' in sys.modules)").end()[1] == "[] False\n"
    assert sys.modules["cowshed"].__file__


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_children_forked_amid_what_other_threads_do_are_sound(shm):
    """Threads open objects and wait for a lock all the time; whatever they hold just then, a child must not wait for it."""
    cowshed.cache("y", lambda: [np.arange(5000.0)], shm_path=shm, verbose=False)
    os.close(os.open(os.path.join(shm, "sharearray_z.npy.lock"), os.O_CREAT | os.O_EXCL))
    end = threading.Event()

    def opens():
        while not end.is_set():
            assert cowshed.cache("y", shm_path=shm, verbose=False)[0][1] == 1

    def waits():
        cowshed.cache("z", np.zeros(1), shm_path=shm, verbose=False)

    threads = [threading.Thread(target=f) for f in (opens, opens, waits)]
    for thread in threads:
        thread.start()
    try:
        for n in range(40):
            pid = os.fork()
            if pid == 0:
                try:
                    fine = cowshed.cache("y", shm_path=shm, verbose=False)[0].sum() == 12497500
                    fine &= cowshed.cache(f"child-{n}", lambda: [n], shm_path=shm, verbose=False) == [n]
                    os._exit(0 if fine else 1)
                finally:
                    os._exit(2)
            deadline = time.monotonic() + 30
            ended = (0, 0)
            while ended == (0, 0):
                if time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                    raise AssertionError("a forked child hangs")
                time.sleep(0.001)
                ended = os.waitpid(pid, os.WNOHANG)
            assert os.waitstatus_to_exitcode(ended[1]) == 0
            assert cowshed.cache(f"child-{n}", shm_path=shm, verbose=False) == [n]
    finally:
        end.set()
        os.unlink(os.path.join(shm, "sharearray_z.npy.lock"))
        for thread in threads:
            thread.join()
