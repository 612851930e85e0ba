#!/usr/bin/env python3
"""A file of every floating-point type, by the safetensors library.

    pip install safetensors numpy
    make_safetensors_goldens.py ../../mathx/clip/testdata/safetensors
"""

import json
import os
import sys

import numpy as np
from safetensors import TensorSpec, serialize_file


def bfloat16(x):
    """Round to the nearest even bfloat16, as bits."""
    bits = x.astype(np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def main(folder):
    os.makedirs(folder, exist_ok=True)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(3, 5)).astype(np.float64) * 10.0 ** rng.integers(-7, 4, size=(3, 5))
    b = bfloat16(x)
    arrays = {
        "f64": ("float64", x, x.astype(np.float32)),
        "f32": ("float32", x.astype(np.float32), x.astype(np.float32)),
        "f16": ("float16", x.astype(np.float16), x.astype(np.float16).astype(np.float32)),
        "bf16": ("bfloat16", b, (b.astype(np.uint32) << 16).view(np.float32)),
        "position_ids": ("int64", np.arange(7)[None], None),
        "scalar": ("float32", np.float32(4.6052).reshape(()), np.float32(4.6052)),
        "empty": ("float32", np.zeros((0, 4), np.float32), np.zeros((0, 4), np.float32)),
    }
    data = {n: np.ascontiguousarray(a) for n, (_, a, _) in arrays.items()}
    specs = {n: TensorSpec(dtype=d, shape=list(a.shape), data_ptr=data[n].ctypes.data, data_len=data[n].nbytes)
             for n, (d, a, _) in arrays.items()}
    serialize_file(specs, f"{folder}/types.safetensors", {"format": "pt"})
    want = {n: [float(v) for v in np.ravel(w)] for n, (_, _, w) in arrays.items() if w is not None}
    with open(f"{folder}/types.json", "w") as f:
        json.dump(want, f)


if __name__ == "__main__":
    main(sys.argv[1])
