"""The names under which a step is given its inputs."""

from __future__ import annotations

MODEL = "model"
"""What the step is done to."""

FACTS = "facts"
"""What detection found; it only has to succeed."""

SOURCE = "source"
"""The model in Hugging Face's layout that all began with, adapters merged; or the source as it
is, where nothing was unpacked."""

TEXT, CALIBRATION = "text", "calibration"
"""Folders with the manifest's evaluation text, and with the text that quantization goes by."""

TOOLCHAIN = "toolchain"
"""llama.cpp's converter."""

ADAPTERS = "adapters"
"""Stands for `adapter0`, `adapter1` and so on: the model's adapters, in order."""

GIVEN = frozenset((MODEL, FACTS, SOURCE, TEXT, CALIBRATION, TOOLCHAIN, ADAPTERS))
"""Any other role is the name of a tool that measures, and stands for what that finds."""
