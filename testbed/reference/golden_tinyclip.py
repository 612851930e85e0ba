#!/usr/bin/env python3
"""Writes testbed/tinyclip/testdata/golden.json: what the stored tinyclip must compute, by PyTorch in float64 from its fp16 weights.

    python3 testbed/reference/golden_tinyclip.py

    tokens   texts and their ids, without SOS and EOT
    texts    a template's token embeddings as context vectors, names, and the unit features of "TEMPLATE NAME."
    images   tiles by sheet, the sum and five values of their preprocessed pixels, their unit features
    logits   logit scale * image feature . text feature for all images x texts
    context  class names, a context of 16 vectors put between SOS and each "NAME.", the features, the labels given to the images, the
             mean cross-entropy of those images over the class names, and its gradient with respect to the context
"""

import argparse
import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F

import tinyclip_data as data
import tinyclip_model as model
from tinyclip_bpe import Bpe

STRINGS = ["", "cat", "a picture of a cat.", "A  Photo of\ta DOG.", "t-shirt.", "ankle boot.", "woman's hat.", "jack o lantern.", "e mail", "100 cats!", "it's 3.5%",
           "we've they'll I'm you'd he's don't they're", "xylophone", "zeppelin.", "unbelievable", "naïve café", "東京 tower", "snow☃man", "🚀 rocket", "a_b-c", "...", "hello,world",
           "  spaced   out  ", "UPPER lower MiXeD", "ÀÉÎ straße", "\u00a0nbsp", "x" * 40, "one two three four five six seven", "1st 2nd", "'s 't"]
TEMPLATE = "a picture of a"
NAMES = ["cat", "dress", "sneaker", "ankle boot", "rocket", "volcano", "waxing gibbous moon", "mountain cableway", "t-shirt", "woman's hat", "unknown thing"]
TILES = [("emoji", "openmoji", 0), ("emoji", "noto", 41), ("emoji", "emojione-v1", 120), ("emoji", "fxemoji", 200), ("emoji", "fluent-emoji-high-contrast", 361), ("emoji", "twemoji", 305),
         ("fashion", "train", 0), ("fashion", "train", 3999), ("fashion", "test", 7), ("fashion", "test", 1000)]


def pixels_of(tile, sheets, root, size):
    """The preprocessed pixels (3 x size x size, float64) of one tile, and its class name."""
    kind, part, i = tile
    if kind == "emoji":
        index, tiles = sheets
        return tiles[part][i].double() / 255, index["concepts"][i]["name"]
    grey, labels = data.load_fashion_sheet(root / "fashion", part)
    classes = json.loads((root / "fashion" / "index.json").read_text())["classes"]
    return torch.from_numpy(data.resize(grey[i:i + 1], size)).expand(3, -1, -1).double() / 255, classes[labels[i]]


def rounded(values, digits=9):
    return [[round(x, digits) for x in row] for row in values.tolist()] if values.dim() > 1 else [round(x, digits) for x in values.tolist()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, default=pathlib.Path("testbed/tinyclip"))
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path("testbed/data"))
    args = parser.parse_args()

    bpe = Bpe.load(args.model)
    text, vision, scale = model.load(args.model)
    text, vision = text.double(), vision.double()
    sheets = data.load_sheets(args.data / "emoji")
    size = vision.config["image_size"]

    pixels, names = zip(*(pixels_of(t, sheets, args.data, size) for t in TILES))
    pixels = data.normalise(torch.stack(pixels))
    images = vision(pixels)
    prompts = text(*data.pack(bpe, [data.phrase(TEMPLATE, name) for name in NAMES]))
    template = text.token(torch.tensor(bpe.encode(TEMPLATE)))

    classes = list(dict.fromkeys(list(names) + ["trouser", "pullover", "coat", "sandal", "shirt", "bag", "cat", "tiger", "oncoming police car"]))
    context = torch.from_numpy(np.random.default_rng(7).normal(0, 0.02, (16, text.config["hidden_size"])).astype(np.float32)).double().requires_grad_()
    features = text(*data.pack(bpe, [". " * 16 + name + "." for name in classes]), context)
    labels = torch.tensor([classes.index(n) for n in names])
    loss = F.cross_entropy(scale * images @ features.t(), labels)
    loss.backward()

    flat = pixels.flatten(1)
    golden = {
        "tokens": [{"text": s, "ids": bpe.encode(s)} for s in STRINGS],
        "sos": bpe.sos, "eot": bpe.eot, "logit_scale": scale,
        "texts": {"template": TEMPLATE, "vectors": rounded(template, 12), "names": NAMES, "features": rounded(prompts)},
        "images": [{"set": s, "part": p, "tile": i, "name": n, "pixel_sum": round(f.sum().item(), 6), "pixel_at": list(range(0, len(f), len(f) // 5))[:5],
                    "pixels": rounded(f[:: len(f) // 5][:5]), "features": rounded(x)} for (s, p, i), n, f, x in zip(TILES, names, flat, images)],
        "logits": rounded(scale * images @ prompts.t(), 7),
        "context": {"classes": classes, "vectors": rounded(context.detach(), 12), "features": rounded(features.detach()), "labels": labels.tolist(),
                    "loss": round(loss.item(), 9), "gradient": rounded(context.grad, 12)},
    }
    out = args.model / "testdata" / "golden.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    print(out.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
