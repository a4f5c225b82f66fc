"""How much memory this process holds."""

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
