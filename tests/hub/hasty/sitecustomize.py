"""On a PYTHONPATH, this makes a client that waits before it asks again ask at once."""

import time

time.sleep = lambda seconds: None
