"""Safetensors files.

header.py    which tensors, and where; reads no tensor, believes nothing
tensors.py   the tensors of a model's files, as views of them
stream.py    a model written piece by piece
shards.py    which tensors go into which file
"""
