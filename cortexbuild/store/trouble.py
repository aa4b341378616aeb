"""What a disk says when it cannot do what it was asked, told with the place and the ways out."""

from __future__ import annotations

import errno

from ..errors import StoreError

ROOM = (
    "make room on that disk (`cortexbuild cache gc` lets go of what nobody counts on), or set "
    "CORTEX_HOME to a folder on another"
)
RIGHTS = "make it writable for you, or set CORTEX_HOME to a folder that is"
OPEN = "raise the limit with `ulimit -n`, or run fewer steps at once with `-j`"
BROKEN = (
    "the disk itself failed: look at what the system says of it (`dmesg`), and run "
    "`cortexbuild verify` when it works again"
)
WAYS_OUT = {
    errno.ENOSPC: ROOM, errno.EDQUOT: ROOM, errno.EFBIG: ROOM,
    errno.EROFS: RIGHTS, errno.EACCES: RIGHTS, errno.EPERM: RIGHTS,
    errno.EMFILE: OPEN, errno.ENFILE: OPEN, errno.EIO: BROKEN,
}  # fmt: skip


def told(error: OSError, where: str) -> StoreError | None:
    """None for what is no trouble of a disk. `where` is said if the error names no file."""
    way_out = WAYS_OUT.get(error.errno or 0)
    if way_out is None:
        return None
    return StoreError(f"{error.filename or where}: {error.strerror}", hint=way_out)
