#!/usr/bin/env python3
"""Measures the stored tinyclip and prints the tables of testbed/tinyclip/README.md.

    python3 testbed/reference/measure_tinyclip.py

Everything is top-1 accuracy in percent. Emoji: over all 362 names. Fashion: over the 10 names, on the clients' 2,000 test pictures.
A learned context starts from N(0, 0.02^2) and is trained without privacy by SGD (momentum 0.9, cosine), cross-entropy over all names.
"""

import argparse
import json
import math
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

import tinyclip_data as data
import tinyclip_model as model
from tinyclip_bpe import Bpe

CONTEXT = 16

# The fashion clients' cameras, as in testbed/internal/data/look.go.
LOOKS = {
    "upright": {},
    "turned by 90°": dict(angle=90),
    "negative": dict(levels=lambda v: 255 - v),
    "upside down": dict(angle=180),
    "low contrast": dict(levels=lambda v: 110 + v // 4),
    "turned by 45°": dict(angle=45, scale=0.9),
    "negative, turned by 270°": dict(angle=270, levels=lambda v: 255 - v),
    "far away": dict(scale=0.6),
    "two grey levels": dict(levels=lambda v: v // 128 * 255),
    "foggy negative": dict(levels=lambda v: 255 - (110 + v // 4)),
}


def look(tiles, angle=0, scale=1.0, levels=None):
    """Applies a camera's look to uint8 tiles: clockwise degrees and size (bilinear, black outside), then grey levels."""
    if angle or scale != 1:
        c, a = (tiles.shape[1] - 1) / 2, math.radians(angle)
        cos, sin = math.cos(a) / scale, math.sin(a) / scale
        matrix = np.array([[cos, -sin], [sin, cos]])  # output row and column to input row and column
        tiles = np.stack([ndimage.affine_transform(t, matrix, np.array([c, c]) - matrix @ [c, c], order=1, output=np.float32) for t in tiles])
        tiles = np.clip(np.rint(tiles), 0, 255).astype(np.uint8)
    return tiles if levels is None else np.clip(levels(tiles.astype(int)), 0, 255).astype(np.uint8)


class Names:
    """The features of a list of class names under words or under a context."""

    def __init__(self, text, bpe, names):
        self.text, self.bpe, self.names = text, bpe, names
        self.ids, self.ends = data.pack(bpe, [". " * CONTEXT + name + "." for name in names])

    def words(self, template):
        with torch.no_grad():
            return self.text(*data.pack(self.bpe, [data.phrase(template, n) for n in self.names]))

    def under(self, context):
        return self.text(self.ids, self.ends, context)


def random_context(width, seed):
    return torch.randn(CONTEXT, width, generator=torch.Generator().manual_seed(seed)) * 0.02


def accuracy(images, labels, features):
    return 100 * ((images @ features.t()).argmax(1) == labels).float().mean().item()


def random_accuracy(names, images, labels, seeds=5):
    with torch.no_grad():
        scores = [accuracy(images, labels, names.under(random_context(names.text.position.shape[1], s))) for s in range(seeds)]
    return np.mean(scores), np.std(scores)


def learn(names, images, labels, scale, steps, rate, batch, seed):
    context = random_context(names.text.position.shape[1], 100 + seed).requires_grad_()
    opt = torch.optim.SGD([context], lr=rate, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(opt, steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        rows = torch.randperm(len(images), generator=generator)[:batch]
        loss = F.cross_entropy(scale * images[rows] @ names.under(context).t(), labels[rows])
        opt.zero_grad()
        loss.backward()
        opt.step()
        schedule.step()
    return context.detach()


def emoji_features(vision, tiles, ranges=None, copies=1, seed=0):
    """Features (n*copies x e) of plain tiles, or of `copies` augmented views of each."""
    generator = torch.Generator().manual_seed(seed)
    out = []
    with torch.no_grad():
        for some in tiles.repeat(copies, 1, 1, 1).split(256):
            n = torch.zeros(len(some), dtype=torch.long)
            x = data.views(some, torch.ones(len(some)), n, n, generator, ranges) if ranges else some.float() / 255
            out.append(vision(data.normalise(x)))
    return torch.cat(out)


def fashion_features(vision, tiles, settings):
    size = vision.config["image_size"]
    x = torch.from_numpy(data.resize(look(tiles, **settings), size)).float().unsqueeze(1).expand(-1, 3, -1, -1) / 255
    with torch.no_grad():
        return torch.cat([vision(data.normalise(some)) for some in x.split(256)])


def emoji_zero_shot(vision, names, index, tiles):
    print("| style | trained on | \"a picture of a NAME.\" | \"NAME.\" | random context (mean, sd of 5) | other views | views in unused ranges |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    labels = torch.arange(len(names.names))
    words, bare = names.words("a picture of a"), names.words("")
    for style in index["styles"]:
        own = tiles[style["name"]]
        clean, same, unused = emoji_features(vision, own), emoji_features(vision, own, data.RANGES), emoji_features(vision, own, data.UNUSED)
        print("| %s | %s | %.1f | %.1f | %.1f (%.1f) | %.1f | %.1f |" % (
            style["name"], "yes" if style["training"] else "**no**", accuracy(clean, labels, words), accuracy(clean, labels, bare),
            *random_accuracy(names, clean, labels), accuracy(same, labels, words), accuracy(unused, labels, words)))


def emoji_learned(vision, names, index, tiles, scale, block, clients, steps, rate, seed):
    """Clients of one unseen style and a block of neighbouring concepts: own views, neighbours' and held-out concepts, words against learned."""
    styles = [s["name"] for s in index["styles"] if not s["training"]]
    words, width = names.words("a picture of a"), names.text.position.shape[1]
    rows = []
    for client in range(clients):
        own = tiles[styles[client % len(styles)]]
        start = client * block % (len(names.names) - 2 * block)
        mine, next_block = torch.arange(start, start + block), torch.arange(start + block, start + 2 * block)
        rest = torch.tensor([i for i in range(len(names.names)) if not start <= i < start + block])
        train = torch.cat([emoji_features(vision, own[mine]), emoji_features(vision, own[mine], data.RANGES, 4, seed + client)])
        context = learn(names, train, mine.repeat(5), scale, steps, rate, 180, seed + client)
        features, at_random = names.under(context), names.under(random_context(width, 100 + seed + client))
        sets = [(emoji_features(vision, own[part], ranges, copies, 1000 + seed + client), part.repeat(copies))
                for part, ranges, copies in ((mine, data.RANGES, 4), (mine, data.UNUSED, 4), (next_block, data.UNUSED, 4), (rest, None, 1))]
        rows.append([accuracy(x, y, f) for x, y in sets for f in (words, at_random, features)])
    mean, error = np.mean(rows, 0), np.std(np.array(rows)[:, 2::3] - np.array(rows)[:, 0::3], 0, ddof=1) / clients ** 0.5
    for i, what in enumerate(["own drawings, other views (same ranges)", "own drawings, **unused ranges (V')**", "neighbour's concepts, unused ranges", "all other concepts of the style, clean"]):
        print("| %d names, %d clients, %d steps at %g | %s | %.1f | %.1f | %.1f | %+.1f (%.1f) |" % (block, clients, steps, rate, what, *mean[3 * i:3 * i + 3], mean[3 * i + 2] - mean[3 * i], error[i]))


def fashion_zero_shot(vision, names, root):
    test, labels = data.load_fashion_sheet(root, "test")
    labels = torch.from_numpy(labels)
    print("| look | \"a photo of a NAME.\" | \"NAME.\" | random context (mean, sd of 5) |")
    print("| --- | --- | --- | --- |")
    for name, settings in LOOKS.items():
        x = fashion_features(vision, test, settings)
        print("| %s | %.1f | %.1f | %.1f (%.1f) |" % (name, accuracy(x, labels, names.words("a photo of a")), accuracy(x, labels, names.words("")), *random_accuracy(names, x, labels)))


def fashion_learned(vision, names, root, scale, steps, rate, seed):
    """Clients with one look each: all classes alike, and label skew (three classes hold 80 % of the pictures); test pictures skewed the same way."""
    parts = {p: data.load_fashion_sheet(root, p) for p in ("train", "test")}
    words, width = names.words("a photo of a"), names.text.position.shape[1]
    for skew in (False, True):
        rows = []
        for client, (name, settings) in enumerate(LOOKS.items()):
            rng = np.random.default_rng(seed + client)
            favourites = rng.choice(10, 3, replace=False)
            share = np.full(10, 0.1)
            if skew:
                share[:] = 0.2 / 7
                share[favourites] = 0.8 / 3
            sets = []
            for part, count in (("train", 400), ("test", 400)):
                tiles, labels = parts[part]
                chosen = np.concatenate([rng.choice(np.flatnonzero(labels == c), round(count * share[c]), replace=False) for c in range(10)])
                sets.append((fashion_features(vision, tiles[chosen], settings), torch.from_numpy(labels[chosen])))
            context = learn(names, *sets[0], scale, steps, rate, 100, seed + client)
            rows.append([accuracy(*sets[1], f) for f in (words, names.under(random_context(width, 100 + seed + client)), names.under(context))])
            print("| %s | %s | %.1f | %.1f | %.1f | %+.1f |" % (name, "3 classes hold 80 %" if skew else "all alike", *rows[-1], rows[-1][2] - rows[-1][0]))
        mean = np.mean(rows, 0)
        print("| **mean** | %s | %.1f | %.1f | %.1f | %+.1f |" % ("3 classes hold 80 %" if skew else "all alike", *mean, mean[2] - mean[0]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, default=pathlib.Path("testbed/tinyclip"))
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path("testbed/data"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=80, help="steps of a learned context")
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--clients", type=int, default=8, help="emoji clients of 36 names; half as many again have 10 names")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=["emoji", "fashion"], help="one data set's tables")
    parser.add_argument("--quick", action="store_true", help="zero-shot only")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    bpe = Bpe.load(args.model)
    text, vision, scale = model.load(args.model)
    index, tiles = data.load_sheets(args.data / "emoji")
    emoji = Names(text, bpe, [c["name"] for c in index["concepts"]])
    clothes = Names(text, bpe, json.loads((args.data / "fashion" / "index.json").read_text())["classes"])
    print("logit scale %.1f" % scale)
    if args.only != "fashion":
        print()
        emoji_zero_shot(vision, emoji, index, tiles)
        if not args.quick:
            print("\n| emoji client | scored on | words | random | learned | gain over words (se) |\n| --- | --- | --- | --- | --- | --- |")
            for block, clients in ((36, args.clients), (10, args.clients * 3 // 2)):
                emoji_learned(vision, emoji, index, tiles, scale, block, clients, args.steps, args.rate, args.seed)
    if args.only != "emoji":
        print()
        fashion_zero_shot(vision, clothes, args.data / "fashion")
        if not args.quick:
            print("\n| fashion client's look | classes | words | random | learned | gain over words |\n| --- | --- | --- | --- | --- | --- |")
            fashion_learned(vision, clothes, args.data / "fashion", scale, args.steps, args.rate, args.seed)


if __name__ == "__main__":
    main()
