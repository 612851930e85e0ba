"""Pictures and words for tinyclip: tiles from the sheets, CLIP's preprocessing, augmented views, templates."""

import json

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

import make_fashion
from tinyclip_model import MEAN, STD

TREATMENTS = ["plain", "grey", "line", "outlined", "ink", "negative"]
TREATMENT_WORDS = ["", "grey", "black line", "outlined", "black ink", "negative"]
STYLE_WORDS = {"noto": "noto", "twemoji": "twitter", "fluent3d": "solid fluent", "fluent-emoji-flat": "flat fluent",
               "noto-v1": "old noto", "fashion": "photo"}
# A geometric look: its word, and what it makes of the draws of scale (0), rotation (1), contrast (2).
LOOKS = ["", "small", "large", "left tilted", "right tilted", "pale", "dark"]

TEMPLATES = ["", "", "", "a", "the", "a picture of a", "a picture of a", "a picture of the", "a drawing of a", "an icon of a", "a symbol of a",
             "a small picture of a", "one", "this is a", "here is a", "a photo of a", "an image of a", "a good picture of the", "my"]
RARE_TEMPLATES = ["this is a picture that someone made to show a", "in this small image you can see the shape of a",
                  "somebody has made this picture , and what it is meant to show us is of course a"]
RARE = 0.01
STYLE_TEMPLATES = ["{t} {s} {n}", "a {t} {s} picture of a {l} {n}", "a {l} {t} {s} {n}", "{l} {n} in {t} {s}", "a {t} {s} of a {l} {n}", "{n} , {l} {t} {s}"]


def load_sheets(folder):
    """(index, {style: uint8 tiles n x 3 x 64 x 64}) of a folder made by make_emoji.py."""
    index = json.loads((folder / "index.json").read_text())
    n, tile, columns = len(index["concepts"]), index["tile"], index["columns"]
    out = {}
    for style in index["styles"]:
        sheet = np.asarray(Image.open(folder / style["file"]).convert("RGB"))
        grid = sheet.reshape(-1, tile, columns, tile, 3).transpose(0, 2, 4, 1, 3).reshape(-1, 3, tile, tile)
        out[style["name"]] = torch.from_numpy(grid[:n].copy())
    return index, out


def load_fashion_sheet(folder, part):
    """(uint8 tiles n x 28 x 28, labels) of one part, "train" or "test", of the folder made by make_fashion.py."""
    index = json.loads((folder / "index.json").read_text())
    entry = next(p for p in index["parts"] if p["name"] == part)
    tile, columns = index["tile"], index["columns"]
    sheet = np.asarray(Image.open(folder / entry["file"]))
    grid = sheet.reshape(-1, tile, columns, tile).transpose(0, 2, 1, 3).reshape(-1, tile, tile)
    return grid[:len(entry["labels"])], np.array(entry["labels"])


def resize(tiles, size):
    """CLIP's resize of square uint8 grey tiles (n x 28 x 28): Pillow's bicubic to size x size, still uint8."""
    return np.stack([np.asarray(Image.fromarray(t).resize((size, size), Image.BICUBIC)) for t in tiles])


def load_model_fashion(source, size, count):
    """The first `count` of the Fashion-MNIST pictures kept for tinyclip, resized, and their labels."""
    pixels, labels = make_fashion.read(source, "train")
    pixels, labels = pixels[make_fashion.MODEL_TRAIN][:count], labels[make_fashion.MODEL_TRAIN][:count]
    return torch.from_numpy(resize(pixels, size)), torch.from_numpy(labels.astype(np.int64))


def normalise(pixels):
    """Pixels in 0 to 1 to the tower's input."""
    return (pixels - MEAN) / STD


SOBEL = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
LUMA = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)


def edges(grey):
    """The Sobel magnitude of n x 1 x h x w pictures, borders repeated."""
    g = F.conv2d(F.pad(grey, (1, 1, 1, 1), mode="replicate"), torch.stack([SOBEL, SOBEL.t()]).unsqueeze(1))
    return g.square().sum(1, keepdim=True).sqrt() / 4


def treat(x, treatments, generator):
    """Applies each picture's treatment (index into TREATMENTS) to n x 3 x h x w pixels in 0 to 1."""
    x = x.clone()
    for kind in range(1, len(TREATMENTS)):
        rows = (treatments == kind).nonzero().flatten()
        if not len(rows):
            continue
        some = x[rows]
        grey = (some * LUMA).sum(1, keepdim=True)
        strength = uniform(generator, len(rows), 1.5, 5).view(-1, 1, 1, 1)
        if kind == 1:
            some = grey.expand(-1, 3, -1, -1)
        elif kind == 2:
            some = (1 - strength * edges(grey)).clamp(0, 1).expand(-1, 3, -1, -1)
        elif kind == 3:
            some = some * (1 - strength * edges(grey)).clamp(0, 1)
        elif kind == 4:
            threshold = uniform(generator, len(rows), 0.35, 0.75).view(-1, 1, 1, 1)
            some = torch.sigmoid((grey - threshold) * 20).expand(-1, 3, -1, -1)
        else:
            some = 1 - some
        x[rows] = some
    return x


def uniform(generator, n, low, high):
    return torch.rand(n, generator=generator) * (high - low) + low


# What training showed: scale intervals, rotation's size (rad), aspect, shift (of half the width), contrast, brightness, saturation, channel gain.
RANGES = dict(scale=[(0.8, 1.2)], rotation=(0.0, 0.2), aspect=0.1, shift=0.15, contrast=(0.75, 1.2), brightness=0.1, saturation=(0.4, 1.5), gain=0.15)
# What no training picture showed ("V'"): other scales and stronger rotations; the rest as in training.
UNUSED = dict(RANGES, scale=[(0.65, 0.8), (1.2, 1.3)], rotation=(0.2, 0.35))


def views(tiles, pad, treatments, looks, generator, ranges=RANGES):
    """Augmented views (n x 3 x h x w, in 0 to 1) of uint8 tiles; `pad` (n) is the grey level outside, `looks` (n) indexes LOOKS."""
    x = treat(tiles.float() / 255, treatments, generator)
    pad = torch.where(treatments == TREATMENTS.index("negative"), 1 - pad, pad).view(-1, 1, 1, 1)
    return recolour(warp(x, pad, looks, generator, ranges), looks, generator, ranges)


def warp(x, pad, looks, generator, ranges):
    """Scales, rotates, stretches and shifts pictures by random draws, bilinear."""
    n = len(x)
    bounds = torch.tensor(ranges["scale"])[torch.randint(len(ranges["scale"]), (n,), generator=generator)]
    scale = bounds[:, 0] + (bounds[:, 1] - bounds[:, 0]) * torch.rand(n, generator=generator)
    low, high = ranges["scale"][0][0], ranges["scale"][-1][1]
    scale = torch.where(looks == 1, uniform(generator, n, low, low + 0.1), torch.where(looks == 2, uniform(generator, n, high - 0.1, high), scale))
    size = uniform(generator, n, *ranges["rotation"])
    sign = (torch.rand(n, generator=generator) < 0.5).float() * 2 - 1
    tilted = ranges["rotation"][1] / 2 + size / 2
    angle = torch.where(looks == 3, tilted, torch.where(looks == 4, -tilted, size * sign))
    stretch = 1 + uniform(generator, n, -1, 1) * ranges["aspect"]
    shift = uniform(generator, 2 * n, -1, 1).view(n, 2, 1) * ranges["shift"]
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    theta = torch.cat([torch.stack([torch.stack([cos * stretch, sin / stretch], 1), torch.stack([-sin * stretch, cos / stretch], 1)], 1), shift], 2)
    return F.grid_sample(x - pad, F.affine_grid(theta, x.shape, align_corners=False), align_corners=False) + pad


def recolour(x, looks, generator, ranges):
    """Changes saturation, channel gains, contrast and brightness by random draws."""
    n = len(x)
    grey = (x * LUMA).sum(1, keepdim=True)
    x = grey + (x - grey) * uniform(generator, n, *ranges["saturation"]).view(-1, 1, 1, 1)
    x = x * (1 + uniform(generator, 3 * n, -1, 1).view(n, 3, 1, 1) * ranges["gain"])
    contrast = uniform(generator, n, *ranges["contrast"])
    contrast = torch.where(looks == 5, uniform(generator, n, 0.55, 0.75), contrast)
    bright = uniform(generator, n, -1, 1) * ranges["brightness"] - 0.2 * (looks == 6)
    x = (x - 0.5) * contrast.view(-1, 1, 1, 1) + 0.5 + bright.view(-1, 1, 1, 1)
    return x.clamp(0, 1)


def shuffle_channels(x, share, generator):
    """Permutes the colour channels of a share of the pictures."""
    rows = (torch.rand(len(x), generator=generator) < share).nonzero().flatten()
    for row in rows.tolist():
        x[row] = x[row][torch.randperm(3, generator=generator)]
    return x


def phrase(template, name):
    """The text that names a thing: template, name, full stop."""
    return (template + " " + name).strip() + "."


def style_phrase(template, treatment, style, look, name):
    text = template.format(t=TREATMENT_WORDS[treatment], s=STYLE_WORDS[style], l=LOOKS[look], n=name)
    return " ".join(text.split()) + "."


def vocabulary_texts(names):
    """Every text fragment whose words must be single tokens."""
    return names + TEMPLATES + RARE_TEMPLATES + TREATMENT_WORDS + list(STYLE_WORDS.values()) + LOOKS + [t.format(t="", s="", l="", n="") for t in STYLE_TEMPLATES] + [
        ".", "photo of clothing", "type", "kind", "art", "emoji", "style", "color"]


def pack(bpe, texts):
    """Token rows [SOS, text, EOT, EOT, …] and each row's EOT position."""
    ids = [[bpe.sos] + bpe.encode(t) + [bpe.eot] for t in texts]
    width = max(map(len, ids))
    return torch.tensor([row + [bpe.eot] * (width - len(row)) for row in ids]), torch.tensor([len(row) - 1 for row in ids])
