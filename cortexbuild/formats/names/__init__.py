"""What a model in a GGUF file is called, and means, in Hugging Face's transformers.

tensors.py    names of tensors, and what llama.cpp's converter did to their numbers
config.py     config.json
rope.py       how positions are encoded
metadata.py   typed reading of the settings, and nothing unread
tables.py     what both call the parts of a model, family by family
"""
