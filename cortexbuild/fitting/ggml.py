"""What rows become when ggml packs them, and how it reads them again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..runtimes.ggml import NUMBERS, pack


def there_and_back(
    rows: NDArray[np.float32], importance: NDArray[np.float32], kind: str
) -> NDArray[np.float32]:
    """What rows (count, columns) become in a type, with the importance of the columns.

    The columns must divide by the type's block.
    """
    import gguf

    packed = pack(rows, kind, importance)
    found: NDArray[np.float32] = gguf.dequantize(packed, gguf.GGMLQuantizationType(NUMBERS[kind]))
    return found
