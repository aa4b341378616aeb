"""GGUF files: read by our own code, which believes nothing, and written by the `gguf` package.

header.py     metadata, which tensors, and where; reads no tensor
stream.py     its numbers, texts and values, piece by piece
types.py      the numbers that stand for types of tensors and of files
widths.py     rows that a type cannot hold
refusing.py   what the quantizer gets wrong without a word
facts.py      what a file tells of its model
tensors.py    the weights under their Hugging Face names
layout.py     which tensors a file becomes, before any is read
fields.py     the settings for a config.json: the inverse of names/config.py
metadata.py   settings, tokens and special tokens, written
writing.py    an MLX model as a GGUF file, tensor by tensor
"""
