#!/usr/bin/env python3
"""Golden tensors for mathx/clip from Hugging Face transformers, in float64.

Makes small random CLIP models of several shapes and, for each, a folder in the Hugging Face
layout (config.json, model.safetensors) with golden.json beside it: image features, plain text
features, features of prompts with context vectors, and autograd's gradient to the context.

Needs torch (1.13 or later), transformers and safetensors. Run from the repository's root:

    python3 testbed/reference/make_clip_goldens.py mathx/clip/testdata/hf
"""

import json
import pathlib
import sys

import torch
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel

BASE = {
    "text_config": dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                        max_position_embeddings=20, vocab_size=40, hidden_act="quick_gelu",
                        layer_norm_eps=1e-5, bos_token_id=38, eos_token_id=39),
    "vision_config": dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
                          image_size=24, patch_size=8, hidden_act="quick_gelu", layer_norm_eps=1e-5),
    "projection_dim": 24,
}

# Name, stored type, changes to text and vision. The sizes cover widths that are and are not a
# multiple of 8 and of 16, one to three layers, both activations, another epsilon.
MODELS = [
    ("base", torch.float32, {}, {}),
    ("gelu", torch.float16, dict(hidden_act="gelu", num_hidden_layers=3, layer_norm_eps=1e-3, num_attention_heads=2),
     dict(hidden_act="gelu", num_hidden_layers=3, layer_norm_eps=1e-3, patch_size=12)),
    ("odd", torch.bfloat16, dict(hidden_size=30, intermediate_size=44, num_attention_heads=5, num_hidden_layers=1),
     dict(hidden_size=20, intermediate_size=52, num_attention_heads=2, num_hidden_layers=1, image_size=12, patch_size=4)),
]

CONTEXT = 4
NAMES = [[3, 4, 5], [3, 4], [7], [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16], []]


def randomise(model, dtype, generator):
    """Weights large enough that every part of the model matters, rounded to the stored type."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator, dtype=torch.float64)
            if name == "logit_scale":
                p.fill_(2.0)
            elif "norm" in name or "layrnorm" in name:
                p.copy_((1.0 if name.endswith("weight") else 0.0) + 0.2 * noise)
            elif name.endswith("bias"):
                p.copy_(0.1 * noise)
            elif "embedding" in name and "patch" not in name:
                p.copy_(0.4 * noise)
            else:
                p.copy_(noise * (1.2 / p[0].numel() ** 0.5))
            p.copy_(p.to(dtype).to(torch.float64))


def prompt_features(model, ctx, names):
    """Unit features of [SOS, ctx, name, EOT, 0, ...], padded to all positions."""
    cfg, text = model.config.text_config, model.text_model
    n, l = cfg.max_position_embeddings, ctx.shape[0]
    ids = torch.zeros(len(names), n, dtype=torch.long)
    eot = []
    for i, name in enumerate(names):
        row = [cfg.bos_token_id] + [0] * l + name + [cfg.eos_token_id]
        ids[i, :len(row)] = torch.tensor(row)
        eot.append(len(row) - 1)
    x = text.embeddings.token_embedding(ids)
    x = torch.cat([x[:, :1], ctx.expand(len(names), -1, -1), x[:, 1 + l:]], dim=1)
    x = text.embeddings(inputs_embeds=x)
    mask = torch.full((n, n), float("-inf"), dtype=torch.float64).triu(1).expand(len(names), 1, n, n)
    x = text.encoder(inputs_embeds=x, causal_attention_mask=mask).last_hidden_state
    x = text.final_layer_norm(x)[torch.arange(len(names)), torch.tensor(eot)]
    return torch.nn.functional.normalize(model.text_projection(x), dim=-1)


def plain_features(model, names):
    """Unit features of [SOS, name, EOT] by the library's own path."""
    cfg = model.config.text_config
    ids = torch.full((len(names), cfg.max_position_embeddings), cfg.eos_token_id)
    for i, name in enumerate(names):
        row = [cfg.bos_token_id] + name + [cfg.eos_token_id]
        ids[i, :len(row)] = torch.tensor(row)
    return torch.nn.functional.normalize(model.get_text_features(ids), dim=-1)


def golden(model, generator):
    cfg = model.config
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float32).double()  # float32 values
    side = cfg.vision_config.image_size
    pixels = draw(2, 3, side, side)
    ctx = (0.5 * draw(CONTEXT, cfg.text_config.hidden_size)).requires_grad_()
    cot = draw(len(NAMES), cfg.projection_dim)
    features = prompt_features(model, ctx, NAMES)
    gradient, = torch.autograd.grad((features * cot).sum(), ctx)
    with torch.no_grad():
        image = torch.nn.functional.normalize(model.get_image_features(pixels), dim=-1)
        text = plain_features(model, NAMES)
    numbers = lambda t: t.flatten().tolist()
    return {
        "classes": [name + [cfg.text_config.eos_token_id] for name in NAMES],
        "context": numbers(ctx.detach()), "prompt_features": numbers(features.detach()),
        "cotangent": numbers(cot), "context_gradient": numbers(gradient),
        "text_features": numbers(text), "pixels": numbers(pixels), "image_features": numbers(image),
        "logit_scale": model.logit_scale.exp().item(),
    }


def write(folder, name, dtype, text, vision):
    generator = torch.Generator().manual_seed(len(name) + 1000)
    config = CLIPConfig(text_config={**BASE["text_config"], **text}, vision_config={**BASE["vision_config"], **vision},
                        projection_dim=BASE["projection_dim"])
    model = CLIPModel(config).double().eval()
    randomise(model, dtype, generator)
    folder = folder / name
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.to(dtype).contiguous() for k, v in model.state_dict().items() if not k.endswith("position_ids")}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    keep = {"model_type": "clip", "projection_dim": BASE["projection_dim"],
            "text_config": {**BASE["text_config"], **text}, "vision_config": {**BASE["vision_config"], **vision}}
    (folder / "config.json").write_text(json.dumps(keep, indent=1, sort_keys=True) + "\n")
    (folder / "golden.json").write_text(json.dumps(golden(model, generator)) + "\n")


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    for spec in MODELS:
        write(pathlib.Path(sys.argv[1]), *spec)
