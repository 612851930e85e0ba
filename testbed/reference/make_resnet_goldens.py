#!/usr/bin/env python3
"""Golden features for OpenAI's layout, by OpenAI's own model code in PyTorch.

    pip install torch safetensors
    pip download --no-deps clip-anytorch        # ships OpenAI's clip/model.py (MIT)
    unzip clip_anytorch-*.whl clip/model.py
    make_resnet_goldens.py clip/model.py ../../mathx/clip/testdata/openai

For a ResNet and a ViT of reduced width with random weights (float16 numbers,
so that the file is exact), writes NAME/open_clip_model.safetensors and
NAME/golden.json: features in float64 of two made-up images and of two texts.
"""

import importlib.util
import json
import os
import sys

import numpy as np
import torch
from safetensors import TensorSpec, serialize_file

MODELS = {
    "resnet": dict(vision_layers=(1, 2, 1, 1), vision_width=4, image_resolution=64, vision_patch_size=None),
    "resnet96": dict(vision_layers=(2, 1, 1, 2), vision_width=6, image_resolution=96, vision_patch_size=None),
    "vit": dict(vision_layers=1, vision_width=64, image_resolution=24, vision_patch_size=8),
}
TEXT = dict(embed_dim=32, context_length=12, vocab_size=40, transformer_width=64, transformer_heads=1, transformer_layers=1)
TEXTS = [[38, 5, 6, 7, 39], [38, 30, 2, 39]]


def images(n, side):
    """The same numbers are made in Go: stripes and noise."""
    k = np.arange(n * 3 * side * side)
    return (k // 64 * 37 % 101 / 50.0 - 1 + k * 7919 % 1000 / 2000.0).reshape(n, 3, side, side)


def randomise(model, rng):
    """Weights of a size that keeps every part of the network alive."""
    for name, p in model.named_parameters():
        fan = np.prod(p.shape[1:]) if p.dim() > 1 else 1
        if name == "logit_scale":
            x = np.array(4.6)
        elif p.dim() > 1:
            x = rng.normal(0, 1.4 / np.sqrt(fan), p.shape)
        elif name.endswith("weight"):
            x = rng.normal(1, 0.2, p.shape)
        else:
            x = rng.normal(0, 0.2, p.shape)
        p.data = torch.tensor(x.astype(np.float16).astype(np.float64))
    for name, b in model.named_buffers():
        if name.endswith("running_mean"):
            b.data = torch.tensor(rng.normal(0, 0.3, b.shape).astype(np.float16).astype(np.float64))
        if name.endswith("running_var"):
            b.data = torch.tensor(rng.uniform(0.4, 2, b.shape).astype(np.float16).astype(np.float64))


def save(path, state):
    arrays = {n: np.ascontiguousarray(t.numpy().astype(np.int64 if t.dtype == torch.int64 else np.float16)) for n, t in state.items()}
    specs = {n: TensorSpec(dtype=str(a.dtype), shape=list(a.shape), data_ptr=a.ctypes.data, data_len=a.nbytes) for n, a in arrays.items()}
    serialize_file(specs, path, {"format": "pt"})
    os.chmod(path, 0o644)


def unit(x):
    return (x / x.norm(dim=-1, keepdim=True)).tolist()


def main(source, folder):
    spec = importlib.util.spec_from_file_location("clip_model", source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.LayerNorm.forward = torch.nn.LayerNorm.forward  # theirs computes in float32
    for i, (name, shape) in enumerate(MODELS.items()):
        model = module.CLIP(**shape, **TEXT).double().eval()
        randomise(model, np.random.default_rng(i))
        os.makedirs(f"{folder}/{name}", exist_ok=True)
        state = {n: t for n, t in model.state_dict().items()}
        save(f"{folder}/{name}/open_clip_model.safetensors", state)
        tokens = torch.zeros(len(TEXTS), TEXT["context_length"], dtype=torch.long)
        for row, ids in enumerate(TEXTS):
            tokens[row, : len(ids)] = torch.tensor(ids)
        with torch.no_grad():
            x = model.visual(torch.tensor(images(2, shape["image_resolution"])))
            t = model.encode_text(tokens)
        golden = {"images": unit(x), "texts": [ids[1:] for ids in TEXTS], "text_features": unit(t), "logit_scale": model.logit_scale.exp().item()}
        json.dump(golden, open(f"{folder}/{name}/golden.json", "w"))
        print(name, x.norm(dim=-1).tolist(), float(x[0] @ x[1] / x[0].norm() / x[1].norm()))


if __name__ == "__main__":
    main(*sys.argv[1:])
