"""Clocks of programs that are not this machine's, by libfaketime."""

import pathlib

LIBRARY = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


def shifted(seconds):
    """The environment of a program whose clock is ahead by so many seconds; or behind."""
    return {"LD_PRELOAD": str(LIBRARY), "FAKETIME": f"{seconds:+d}", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def faster(times, ahead=0):
    """The environment of a program for which time goes so many times faster, what it waits for included; from so many seconds ahead."""
    return {"LD_PRELOAD": str(LIBRARY), "FAKETIME": f"{ahead:+d} x{times}"}
