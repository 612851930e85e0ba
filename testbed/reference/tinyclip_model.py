"""tinyclip in PyTorch: two small CLIP towers, their training form (batch norm in the stem) and their stored form.

The stored form is a Hugging Face CLIP folder with one extension: vision_config.stem lists strided 3x3 convolutions, each followed by
ReLU, in place of the single patch convolution; the last one's grid, row by row, gives the patch tokens.
"""

import json
import math
import struct

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    """A pre-LayerNorm transformer block as in CLIP: attention, then an MLP with QuickGELU."""

    def __init__(self, width, heads, inner, layers):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)
        residual = width ** -0.5 * (2 * layers) ** -0.5
        for linear, std in ((self.qkv, width ** -0.5), (self.out, residual), (self.fc1, (2 * width) ** -0.5), (self.fc2, residual)):
            nn.init.normal_(linear.weight, std=std)
            nn.init.zeros_(linear.bias)

    def forward(self, x, mask=None):
        n, t, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, t, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        scores = (q * (width // self.heads) ** -0.5) @ k.transpose(2, 3)
        if mask is not None:
            scores = scores + mask[:t, :t]
        x = x + self.out((scores.softmax(3) @ v).transpose(1, 2).reshape(n, t, width))
        h = self.fc1(self.norm2(x))
        return x + self.fc2(h * torch.sigmoid(1.702 * h))


class TextTower(nn.Module):
    def __init__(self, vocab_size, positions=40, width=96, heads=3, inner=192, layers=3, dim=128):
        super().__init__()
        self.config = dict(vocab_size=vocab_size, max_position_embeddings=positions, hidden_size=width,
                           num_attention_heads=heads, intermediate_size=inner, num_hidden_layers=layers)
        self.token = nn.Embedding(vocab_size, width)
        self.position = nn.Parameter(torch.randn(positions, width) * 0.01)
        nn.init.normal_(self.token.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(width, heads, inner, layers) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.projection = nn.Linear(width, dim, bias=False)
        nn.init.normal_(self.projection.weight, std=width ** -0.5)
        self.register_buffer("mask", torch.full((positions, positions), -math.inf).triu(1), persistent=False)

    def forward(self, ids, ends, context=None):
        """Unit features of n token rows (n x t); `ends` holds each row's EOT position, `context` replaces positions 1 to l."""
        x = self.token(ids)
        if context is not None:
            x = torch.cat([x[:, :1], context.to(x.dtype).expand(len(x), -1, -1), x[:, 1 + context.shape[0]:]], 1)
        x = x + self.position[: x.shape[1]]
        for block in self.blocks:
            x = block(x, self.mask.to(x.dtype))
        return F.normalize(self.projection(self.norm(x[torch.arange(len(x)), ends])), dim=1)


class VisionTower(nn.Module):
    def __init__(self, image_size=64, channels=(24, 48, 72, 96), width=96, heads=3, inner=384, layers=3, dim=128):
        super().__init__()
        self.config = dict(image_size=image_size, hidden_size=width, num_attention_heads=heads, intermediate_size=inner,
                           num_hidden_layers=layers, patch_size=2 ** len(channels),
                           stem=[{"out": c, "kernel": 3, "stride": 2, "padding": 1} for c in channels])
        ends = (3,) + tuple(channels)
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in zip(ends, ends[1:]))
        self.batch_norms = nn.ModuleList(nn.BatchNorm2d(c) for c in channels)
        tokens = (image_size // 2 ** len(channels)) ** 2 + 1
        self.class_token = nn.Parameter(torch.randn(width) * width ** -0.5)
        self.position = nn.Parameter(torch.randn(tokens, width) * 0.01)
        self.pre_norm, self.post_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.blocks = nn.ModuleList(Block(width, heads, inner, layers) for _ in range(layers))
        self.projection = nn.Linear(width, dim, bias=False)
        nn.init.normal_(self.projection.weight, std=width ** -0.5)

    def forward(self, pixels):
        """Unit features of n images (n x 3 x size x size, normalised)."""
        x = pixels
        for convolution, norm in zip(self.convolutions, self.batch_norms):
            x = F.relu(norm(convolution(x)))
        x = x.flatten(2).transpose(1, 2)
        x = self.pre_norm(torch.cat([self.class_token.expand(len(x), 1, -1), x], 1) + self.position)
        for block in self.blocks:
            x = block(x)
        return F.normalize(self.projection(self.post_norm(x[:, 0])).to(self.position.dtype), dim=1)

    def fold(self):
        """Moves the batch norms' running statistics into the convolutions, for good."""
        for i, (convolution, norm) in enumerate(zip(self.convolutions, self.batch_norms)):
            if isinstance(norm, nn.Identity):
                continue
            gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            convolution.weight.data *= gain.view(-1, 1, 1, 1)
            convolution.bias.data = (convolution.bias - norm.running_mean) * gain + norm.bias
            self.batch_norms[i] = nn.Identity()
        return self


def block_tensors(prefix, block):
    """A block's tensors under their Hugging Face names, query, key and value apart."""
    for part, (weight, bias) in zip("qkv", zip(block.qkv.weight.chunk(3), block.qkv.bias.chunk(3))):
        yield prefix + "self_attn.%s_proj.weight" % part, weight
        yield prefix + "self_attn.%s_proj.bias" % part, bias
    for name, module in (("self_attn.out_proj", block.out), ("layer_norm1", block.norm1), ("layer_norm2", block.norm2),
                         ("mlp.fc1", block.fc1), ("mlp.fc2", block.fc2)):
        yield prefix + name + ".weight", module.weight
        yield prefix + name + ".bias", module.bias


def tensors(text, vision, logit_scale):
    """All tensors under their stored names; `logit_scale` is the logarithm. The values are views of the towers' parameters."""
    out = {"logit_scale": logit_scale, "text_projection.weight": text.projection.weight, "visual_projection.weight": vision.projection.weight,
           "text_model.embeddings.token_embedding.weight": text.token.weight,
           "text_model.embeddings.position_embedding.weight": text.position,
           "text_model.final_layer_norm.weight": text.norm.weight, "text_model.final_layer_norm.bias": text.norm.bias,
           "vision_model.embeddings.class_embedding": vision.class_token,
           "vision_model.embeddings.position_embedding.weight": vision.position,
           "vision_model.pre_layrnorm.weight": vision.pre_norm.weight, "vision_model.pre_layrnorm.bias": vision.pre_norm.bias,
           "vision_model.post_layernorm.weight": vision.post_norm.weight, "vision_model.post_layernorm.bias": vision.post_norm.bias}
    for i, convolution in enumerate(vision.convolutions):
        out["vision_model.embeddings.stem.%d.weight" % i] = convolution.weight
        out["vision_model.embeddings.stem.%d.bias" % i] = convolution.bias
    for side, tower in (("text", text), ("vision", vision)):
        for i, block in enumerate(tower.blocks):
            out.update(block_tensors("%s_model.encoder.layers.%d." % (side, i), block))
    return out


def write_safetensors(path, arrays):
    """Writes fp16 arrays; the header is padded with spaces so that the data starts on a multiple of 8 bytes."""
    header, offset, data = {"__metadata__": {"format": "pt"}}, 0, []
    for name in sorted(arrays):
        array = np.asarray(arrays[name], np.float16, order="C")
        header[name] = {"dtype": "F16", "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
        data.append(array.tobytes())
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data))


def read_safetensors(path):
    raw = path.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8:8 + size])
    header.pop("__metadata__", None)
    return {name: np.frombuffer(raw[8 + size + e["data_offsets"][0]:8 + size + e["data_offsets"][1]], np.float16).reshape(e["shape"])
            for name, e in header.items()}


MEAN, STD = 0.5, 0.25


def save(folder, bpe, text, vision, logit_scale):
    """Writes the whole model folder; the vision tower must be folded."""
    folder.mkdir(parents=True, exist_ok=True)
    bpe.save(folder)
    common = dict(hidden_act="quick_gelu", layer_norm_eps=1e-5, projection_dim=text.projection.out_features)
    config = {"model_type": "clip", "architectures": ["CLIPModel"], "projection_dim": text.projection.out_features,
              "logit_scale_init_value": float(logit_scale), "torch_dtype": "float16",
              "text_config": dict(model_type="clip_text_model", bos_token_id=bpe.sos, eos_token_id=bpe.eot, pad_token_id=bpe.eot, **common, **text.config),
              "vision_config": dict(model_type="clip_vision_model", num_channels=3, **common, **vision.config)}
    size = vision.config["image_size"]
    preprocess = {"do_resize": True, "size": {"shortest_edge": size}, "resample": 3, "do_center_crop": True, "crop_size": {"height": size, "width": size},
                  "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [MEAN] * 3, "image_std": [STD] * 3,
                  "do_convert_rgb": True, "image_processor_type": "CLIPImageProcessor"}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocess, indent=1) + "\n")
    write_safetensors(folder / "model.safetensors", {k: v.detach().numpy() for k, v in tensors(text, vision, logit_scale).items()})


def load(folder):
    """Reads a stored folder into (text, vision, logit scale already exp'ed), float32 and ready for inference."""
    config = json.loads((folder / "config.json").read_text())
    t, v = config["text_config"], config["vision_config"]
    text = TextTower(t["vocab_size"], t["max_position_embeddings"], t["hidden_size"], t["num_attention_heads"],
                     t["intermediate_size"], t["num_hidden_layers"], config["projection_dim"])
    vision = VisionTower(v["image_size"], [s["out"] for s in v["stem"]], v["hidden_size"], v["num_attention_heads"],
                         v["intermediate_size"], v["num_hidden_layers"], config["projection_dim"])
    vision.batch_norms = nn.ModuleList(nn.Identity() for _ in v["stem"])
    scale = torch.zeros(())
    stored = read_safetensors(folder / "model.safetensors")
    with torch.no_grad():
        for name, tensor in tensors(text, vision, scale).items():
            tensor.copy_(torch.from_numpy(stored[name].astype(np.float32)))
    for tower in (text, vision):
        tower.requires_grad_(False).eval()
    return text, vision, scale.exp().item()
