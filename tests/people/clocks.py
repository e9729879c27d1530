"""Clocks of programs that are not this machine's, by libfaketime."""

import pathlib
import re

import pytest

LIBRARY = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


def shifted(seconds):
    """The environment of a program whose clock is ahead by so many seconds; or behind."""
    return {"LD_PRELOAD": str(LIBRARY), "FAKETIME": f"{seconds:+d}", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def faster(times, ahead=0):
    """The environment of a program for which time goes so many times faster, what it waits for included; from so many seconds ahead."""
    return {"LD_PRELOAD": str(LIBRARY), "FAKETIME": f"{ahead:+d} x{times}"}


@pytest.fixture(autouse=True)
def swept():
    """What the library leaves in memory of a program that ends without its destructors, as Bulla does, goes. It is named by the process,
    and in the way of the next one of that number."""
    found = lambda: {path for path in pathlib.Path("/dev/shm").glob("*faketime_s*") if re.search(r"_\d+$", path.name)}  # noqa: E731
    before = found()
    yield
    for path in found() - before:
        if not pathlib.Path(f"/proc/{path.name.rsplit('_', 1)[1]}").exists():
            path.unlink(missing_ok=True)
