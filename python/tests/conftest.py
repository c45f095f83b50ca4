"""What all tests have: a directory in memory of their own, other processes, and a watchdog."""

from __future__ import annotations

import faulthandler
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pytest

#: Seconds after which a test that hangs ends the run, with a traceback of every thread.
LIMIT = 120


@pytest.fixture(autouse=True)
def watchdog():
    faulthandler.dump_traceback_later(LIMIT, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def shm():
    """A directory in memory."""
    path = tempfile.mkdtemp(prefix="cowshed-test-", dir="/dev/shm")
    yield path
    shutil.rmtree(path)


class Child:
    """A Python process that runs some code; `shm` is set in it, `cowshed`, `os` and `np` are imported."""

    def __init__(self, code: str, shm: str) -> None:
        before = f"import os, signal, sys, threading, time\nimport numpy as np\nimport cowshed\nshm = {shm!r}\n"
        self.process = subprocess.Popen(
            [sys.executable, "-c", before + code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def line(self) -> str:
        """Its next line."""
        return self.process.stdout.readline().rstrip("\n")

    def tell(self, line: str) -> None:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def end(self) -> tuple[int, str, str]:
        """Its exit code and what else it says."""
        out, err = self.process.communicate(timeout=LIMIT)
        return self.process.returncode, out, err


@pytest.fixture
def child(shm):
    children = []

    def start(code: str) -> Child:
        children.append(Child(code, shm))
        return children[-1]

    yield start
    for one in children:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


@pytest.fixture(scope="session")
def rscript():
    """Runs R code in a process of its own, with the package attached."""
    found = shutil.which("Rscript")
    if found is None:
        pytest.skip("there is no Rscript")
    asked = [found, "--vanilla", "-e", "library(cowshed)"]
    if subprocess.run(asked, capture_output=True, timeout=LIMIT).returncode != 0:
        pytest.skip("R has no package cowshed (R_LIBS says where to look)")

    def start(code: str) -> subprocess.Popen:
        command = [found, "--vanilla", "-e", "suppressMessages(library(cowshed))", "-e", code]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start


def names(directory: str) -> list[str]:
    """The files in a directory."""
    return sorted(os.listdir(directory))


def root() -> pathlib.Path:
    """The directory with the package's sources."""
    return pathlib.Path(__file__).resolve().parent.parent
