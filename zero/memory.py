"""How much memory there is, and how much of it this process holds."""

import os
import resource
import sys


def resident_bytes() -> int:
    """Of physical memory, now; where the system does not tell, the most so far."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def free_share() -> float:
    """How much of the machine's memory is to be had, 0..1; 1 where the system does not tell."""
    try:
        with open("/proc/meminfo") as file:
            sizes = {line.split(":")[0]: int(line.split()[1]) for line in file}
        return sizes["MemAvailable"] / sizes["MemTotal"]
    except (OSError, KeyError, ValueError):
        return 1.0
