"""What MLX multiplies slowly on a CPU is multiplied by numpy, to the same numbers."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SCRIPT = """
import json, sys
import mlx.core as mx, mlx.nn as nn, numpy as np
from cortexbuild.runtimes.mlx import _multiplied_by_numpy
mx.set_default_device(mx.cpu)
mx.random.seed(0)
model = nn.Sequential(nn.Linear(8, 5), nn.Linear(5, 8, bias=False))
model.embedding = nn.Embedding(9, 8)
def scores():
    return np.array(model.embedding.as_linear(model(model.embedding(mx.array([[1, 2]])))))
before, types = scores(), [type(layer) for layer in model.layers]
assert _multiplied_by_numpy(model) is model
moved = types != [type(layer) for layer in model.layers]
print(json.dumps([moved, float(np.abs(scores() - before).max()), float(np.abs(before).max())]))
"""


@pytest.mark.engine
def test_layers_with_a_bias_without_and_tied_ones_give_the_same_numbers():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    moved, far, most = json.loads(done.stdout)
    assert moved == (sys.platform == "linux")
    assert far < 1e-6 < most
