"""`launch.py FD COMMAND ...`: run a program, and write to FD what it took.

In a process of its own, and a small one: by the system's accounting a process has had at least the
memory of the one that started it.
"""

import json
import os
import resource
import sys
import time

begun = time.perf_counter()
code = os.spawnvp(os.P_WAIT, sys.argv[2], sys.argv[2:])
seconds = time.perf_counter() - begun
used = resource.getrusage(resource.RUSAGE_CHILDREN)
memory = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
taken = {"seconds": seconds, "processor": used.ru_utime + used.ru_stime, "memory": memory}
os.write(int(sys.argv[1]), json.dumps(taken).encode())
sys.exit(code if code >= 0 else 128 - code)
