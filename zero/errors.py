"""What goes wrong for reasons that people can mend, as one clear line."""

import errno

FULL = {errno.ENOSPC, errno.EDQUOT}
STORAGE = FULL | {errno.EIO, errno.EROFS}


class UserError(Exception):
    """Wrong input or a wrong environment: the message says what is wrong, where, and what to do."""


def storage_fault(error: OSError) -> str | None:
    """What is wrong with the disk, or None if `error` is about something else."""
    if error.errno not in STORAGE:
        return None
    what = "the disk is full" if error.errno in FULL else f"the disk fails: {error.strerror}"
    return f"{what} ({error.filename})" if error.filename else what
