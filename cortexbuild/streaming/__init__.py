"""Making a model of another format in memory that does not grow with it.

What each tensor of the result is made of is found out first (`tracing.py`), without reading any
weights. Then they are read, packed and written a few megabytes at a time (`packing.py`).
"""
