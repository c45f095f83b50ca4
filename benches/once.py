"""Finds one array in a process that has just started: once.py ID DIRECTORY

Prints microseconds of cowshed.cache(), then of numpy.load() of the same file, kilobytes of private memory that a sum took, and the
kilobytes of the mapping that count as this process's (PSS).
"""

import sys
import time

import numpy as np

import cowshed


def anonymous_kb():
    with open("/proc/self/smaps_rollup") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous"))


def pss_kb(name):
    total, within = 0, False
    with open("/proc/self/smaps") as lines:
        for line in lines:
            if "-" in line.split(" ")[0]:
                within = name in line
            elif within and line.startswith("Pss:"):
                total += int(line.split()[1])
    return total


id, directory = sys.argv[1:]
start = time.perf_counter()
array = cowshed.cache(id, shm_path=directory, verbose=False)
first = array[0]
found = time.perf_counter() - start
start = time.perf_counter()
np.load(f"{directory}/sharearray_{id}.npy", mmap_mode="r")[0]
loaded = time.perf_counter() - start
before = anonymous_kb()
array.sum()
print(found * 1e6, loaded * 1e6, anonymous_kb() - before, pss_kb(f"sharearray_{id}.npy"))
