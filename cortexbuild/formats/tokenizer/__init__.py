"""Tokenizers, between Hugging Face's files and the metadata of GGUF.

fields.py          as llama.cpp reads it in GGUF
from_gguf.py       the files of a tokenizer, out of GGUF
as_json.py         tokenizer.json with the ids that llama.cpp gives
sentencepiece.py   tokenizer.model
to_gguf.py         tokenizer.json as fields of GGUF
tables.py          how text is cut into words: llama.cpp's names and their patterns
"""
