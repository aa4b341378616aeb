"""How quantized numbers lie in bytes, and what they stand for. Matrices in memory, no files.

words.py    small whole numbers in 32-bit words, as MLX and GPTQ have them
mlx.py      MLX's affine mode
gptq.py     AutoGPTQ's and GPTQModel's layers
awq.py      AutoAWQ's layers
zeros.py    (code - zero) * scale, as GPTQ and AWQ mean it
gguf.py     blocks of GGUF that MLX can express, and the way back
rows.py     the order of the rows of q and k in GGUF
floats.py   the small float type that holds numbers without a loss
"""
