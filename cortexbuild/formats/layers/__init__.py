"""The layers of a quantized model, found in its tensors.

mlx.py    an MLX model's
gptq.py   a GPTQ or AWQ checkpoint's
fp8.py    8-bit floats with scales beside them
"""
