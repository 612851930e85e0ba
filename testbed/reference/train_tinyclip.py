#!/usr/bin/env python3
"""Trains tinyclip, the testbed's small frozen CLIP, from scratch on one CPU thread and writes testbed/tinyclip.

    python3 testbed/reference/make_emoji.py --wide out/wide
    python3 testbed/reference/train_tinyclip.py --wide out/wide --half

Made with Debian 12's python3-torch 1.13.0a0, python3-numpy 1.24.2, python3-pil 9.4.0, python3-regex 0.1.20221031 and
dataset-fashion-mnist. Two stages: both towers together, then the text tower anew on the locked image tower's cached features.
A step count fixes the result for a seed; --minutes caps a stage's wall time (the schedule then follows the clock).
--text-only repeats stage two on the image tower already in --out.

Trained on: five drawing styles (index.json "training") of all concepts, and Fashion-MNIST pictures that are on no sheet. No text is
ever preceded by noise vectors, and only a few of stage two (--filler) by filler words, so that a random context is as strange to this tower as to CLIP's.
"""

import argparse
import math
import pathlib
import random
import time

import torch
import torch.nn.functional as F
from torch import nn

import make_fashion
import tinyclip_data as data
import tinyclip_model as model
from tinyclip_bpe import Bpe, split


class Pictures:
    """All training drawings: which concepts there are, in which styles, and the Fashion pictures by class."""

    def __init__(self, sheets, wide, fashion_source, fashion_count, size):
        index, tiles = data.load_sheets(sheets)
        self.styles = [s["name"] for s in index["styles"] if s["training"]]
        self.names = [c["name"] for c in index["concepts"]]
        stacks = [[tiles[s][i] for s in self.styles] for i in range(len(self.names))]
        self.drawn = [list(range(len(self.styles)))] * len(self.names)
        self.core = len(self.names)
        if wide:
            self.add_wide(wide, {c["code"] for c in index["concepts"]}, stacks)
        self.tiles = torch.stack([torch.stack(s) for s in stacks])  # concepts x styles x 3 x 64 x 64
        self.fashion, labels = data.load_model_fashion(fashion_source, size, fashion_count)
        self.fashion_rows = [(labels == c).nonzero().flatten().tolist() for c in range(len(make_fashion.CLASSES))]

    def add_wide(self, folder, have, stacks):
        index, tiles = data.load_sheets(folder)
        missing = {s["name"]: set(s["missing"]) for s in index["styles"]}
        known = set(self.names)
        for i, concept in enumerate(index["concepts"]):
            if concept["code"] in have or concept["name"] in known:
                continue
            known.add(concept["name"])
            self.names.append(concept["name"])
            self.drawn.append([j for j, s in enumerate(self.styles) if i not in missing[s]])
            stacks.append([tiles[s][i] for s in self.styles])


class Batches:
    """Draws training batches: n concepts x 3 pictures of different styles, and every Fashion class x 3 pictures."""

    def __init__(self, pictures, seed, concepts=64, core_share=0.65):
        self.p, self.rng, self.filler = pictures, random.Random(seed), 0.0
        self.generator = torch.Generator().manual_seed(seed)
        self.concepts, self.core = concepts, round(concepts * core_share)
        if len(pictures.names) == pictures.core:
            self.core = concepts
        self.all_names = list(dict.fromkeys(pictures.names + make_fashion.CLASSES))
        self.filler_words = sorted({w for text in data.vocabulary_texts(self.all_names) for w in split(text) if w != "."})
        self.name_ids = {name: i for i, name in enumerate(self.all_names)}

    def draw(self, plain_only):
        """(normalised pixels, names by concept, styled texts by concept). Pictures are concept-major, three a concept, the styled one first."""
        rng, p = self.rng, self.p
        chosen = rng.sample(range(p.core), self.core) + (rng.sample(range(p.core, len(p.names)), self.concepts - self.core) if self.concepts > self.core else [])
        style, treatment, look = rng.randrange(len(p.styles)), self.treatment(plain_only), self.look()
        pictures, treatments, looks, names, styled = [], [], [], [], []
        template = rng.choice(data.STYLE_TEMPLATES)
        for concept in chosen:
            order = rng.sample(p.drawn[concept], 3)
            if style in p.drawn[concept]:
                order = [style] + [s for s in order if s != style][:2]
            pictures += [p.tiles[concept, s] for s in order]
            treatments += [treatment, self.treatment(plain_only), self.treatment(plain_only)]
            looks += [look, 0, 0]
            names.append(p.names[concept])
            styled.append(data.style_phrase(template, treatment, p.styles[order[0]], look, names[-1]))
        flat = 0 if treatment in (2, 3, 4) else treatment
        for c, name in enumerate(make_fashion.CLASSES):
            pictures += [p.fashion[r].expand(3, -1, -1) for r in rng.sample(p.fashion_rows[c], 3)]
            treatments += [flat] + [data.TREATMENTS.index("negative") if rng.random() < 0.03 else 0 for _ in range(2)]
            looks += [look, 0, 0]
            names.append(name)
            styled.append(data.style_phrase(template, flat, "fashion", look, name))
        pad = torch.tensor([1.0] * (3 * self.concepts) + [0.0] * (len(pictures) - 3 * self.concepts))
        x = data.views(torch.stack(pictures), pad, torch.tensor(treatments), torch.tensor(looks), self.generator)
        return data.normalise(data.shuffle_channels(x, 0.1, self.generator)), names, styled

    def treatment(self, plain_only):
        weights = [85, 15, 0, 0, 0, 0] if plain_only else [44, 10, 15, 17, 11, 3]
        return self.rng.choices(range(len(weights)), weights)[0]

    def look(self):
        return self.rng.choices(range(len(data.LOOKS)), [3] + [0.5] * (len(data.LOOKS) - 1))[0]

    def generic(self, names):
        """The names behind one template common to the batch, in a share of stage two's batches behind up to 16 filler words."""
        template = self.rng.choice(data.RARE_TEMPLATES if self.rng.random() < data.RARE else data.TEMPLATES)
        if self.rng.random() < self.filler:
            template = self.fill(16)
        return [data.phrase(template, name) for name in names]

    def behind_filler(self, styled):
        """Styled texts, in the same share of the batches behind up to 10 filler words."""
        if self.rng.random() >= self.filler:
            return styled
        words = self.fill(10)
        return [words + " " + text for text in styled]

    def fill(self, most):
        return " ".join(self.rng.choices(self.filler_words, k=self.rng.randint(1, most)))


def contrastive(images, generic, styled, ids, scale):
    """The mean of four cross-entropies: pictures against names both ways, styled pictures against styled texts both ways.

    images is 3c x e (concept-major, the styled picture first), generic and styled are c x e, ids (c) is equal where two concepts share a name.
    A styled text's only positive is its styled picture: the same concept's other pictures are hard negatives, which is what gives words
    before a name a meaning.
    """
    c = len(generic)
    same = (ids.unsqueeze(0) == ids.unsqueeze(1)).float()
    by_picture = same.repeat_interleave(3, 0)
    general = scale * images @ generic.t()
    particular = scale * images @ styled.t()
    first = torch.arange(0, 3 * c, 3)
    return (soft_cross_entropy(general, by_picture) + soft_cross_entropy(general.t(), by_picture.t())
            + F.cross_entropy(particular[first], torch.arange(c)) + F.cross_entropy(particular.t(), first)) / 4


def soft_cross_entropy(logits, positive):
    return -(positive / positive.sum(1, keepdim=True) * logits.log_softmax(1)).sum(1).mean()


class Clock:
    """Progress from 0 to 1 by steps or by wall time, whichever is further."""

    def __init__(self, steps, minutes):
        self.steps, self.seconds, self.start, self.step = steps, 60 * minutes, time.monotonic(), 0

    def tick(self):
        self.step += 1
        return self.progress()

    def progress(self):
        return max(self.step / self.steps, (time.monotonic() - self.start) / self.seconds)


def optimiser(modules, rate):
    """AdamW with decay on matrices only."""
    parameters = [p for m in modules for p in m.parameters()]
    groups = [{"params": [p for p in parameters if p.dim() > 1], "weight_decay": 0.1}, {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0}]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), eps=1e-6)


def set_rate(opt, rate, step, progress):
    for group in opt.param_groups:
        group["lr"] = rate * min(1, step / 100) * (0.02 + 0.98 * (1 + math.cos(math.pi * min(1, progress))) / 2)


def descend(opt, loss, modules):
    opt.zero_grad(set_to_none=True)
    loss.backward()
    norm = nn.utils.clip_grad_norm_([p for m in modules for p in m.parameters()], 1.0)
    if not torch.isfinite(norm):
        raise SystemExit("train_tinyclip: a gradient is not finite")
    opt.step()


class Scale(nn.Module):
    """The logit scale, kept as a logarithm and at most ln 100."""

    def __init__(self, start=14.3):
        super().__init__()
        self.log = nn.Parameter(torch.tensor(math.log(start)))

    def forward(self):
        return self.log.clamp(max=math.log(100)).exp()


def train_both(text, vision, batches, bpe, clock, rate, half, report):
    """Stage one. An auxiliary cosine classifier over all names pulls the image features apart at first; its weight falls to 0."""
    scale = Scale()
    head = nn.Linear(vision.projection.out_features, len(batches.all_names), bias=False)
    modules = [text, vision, scale, head]
    opt = optimiser(modules, rate)
    vision.train()
    progress = 0.0
    while progress < 1:
        set_rate(opt, rate, clock.step + 1, progress)
        pixels, names, styled = batches.draw(plain_only=progress < 0.1)
        ids = torch.tensor([batches.name_ids[n] for n in names])
        texts = batches.generic(names)
        features = text(*data.pack(bpe, texts + batches.behind_filler(styled)))
        with torch.cpu.amp.autocast(enabled=half):
            images = vision(pixels)
        loss = contrastive(images, features[:len(names)], features[len(names):], ids, scale())
        weight = max(0.0, 1 - progress / 0.9)
        total = loss
        if weight > 0:
            total = loss + weight * F.cross_entropy(16 * images @ F.normalize(head.weight, dim=1).t(), ids.repeat_interleave(3), label_smoothing=0.05)
        descend(opt, total, modules)
        progress = clock.tick()
        report(clock, loss, scale)
    return scale


def settle(vision, batches, rounds=40):
    """Sets the batch norms' statistics to the means over fresh batches, then folds them away."""
    for norm in vision.batch_norms:
        norm.reset_running_stats()
        norm.momentum = None
    with torch.no_grad():
        for _ in range(rounds):
            vision(batches.draw(plain_only=False)[0])
    return vision.fold().eval()


def cache(vision, batches, rounds):
    """Image features, names and styled texts of `rounds` batches."""
    out = []
    with torch.no_grad():
        for _ in range(rounds):
            pixels, names, styled = batches.draw(plain_only=False)
            out.append((vision(pixels), names, styled))
    return out


def train_text(text, cached, batches, bpe, clock, rate, report):
    """Stage two: the text tower alone, against cached features."""
    scale = Scale(25)
    modules = [text, scale]
    opt = optimiser(modules, rate)
    progress = 0.0
    while progress < 1:
        set_rate(opt, rate, clock.step + 1, progress)
        images, names, styled = cached[batches.rng.randrange(len(cached))]
        ids = torch.tensor([batches.name_ids[n] for n in names])
        features = text(*data.pack(bpe, batches.generic(names) + batches.behind_filler(styled)))
        loss = contrastive(images, features[:len(names)], features[len(names):], ids, scale())
        descend(opt, loss, modules)
        progress = clock.tick()
        report(clock, loss, scale)
    return scale


def reporter(stage):
    def report(clock, loss, scale):
        if clock.step % 50 == 0:
            print("%s step %d progress %.3f loss %.3f scale %.1f %.0f s" % (
                stage, clock.step, clock.progress(), loss.item(), scale().item(), time.monotonic() - clock.start), flush=True)
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sheets", type=pathlib.Path, default=pathlib.Path("testbed/data/emoji"))
    parser.add_argument("--wide", type=pathlib.Path, help="folder of make_emoji.py --wide: more concepts for training")
    parser.add_argument("--fashion", type=pathlib.Path, default=make_fashion.SOURCE, help="folder of the gzipped IDX files")
    parser.add_argument("--fashion-count", type=int, default=30000)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("testbed/tinyclip"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--filler", type=float, default=0.15, help="share of stage two's batches whose texts start with filler words")
    parser.add_argument("--text-only", action="store_true", help="only stage two, on the image tower stored in --out")
    parser.add_argument("--half", action="store_true", help="run the image tower in bfloat16 in stage one (twice as fast where the processor has it)")
    parser.add_argument("--steps", type=int, default=3200, help="steps of stage one")
    parser.add_argument("--minutes", type=float, default=600, help="wall-time cap of stage one")
    parser.add_argument("--text-steps", type=int, default=2500, help="steps of stage two; 0 keeps stage one's text tower")
    parser.add_argument("--text-minutes", type=float, default=600)
    parser.add_argument("--cache-batches", type=int, default=400)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    vision = model.load(args.out)[1] if args.text_only else model.VisionTower()
    pictures = Pictures(args.sheets, args.wide, args.fashion, args.fashion_count, vision.config["image_size"])
    batches = Batches(pictures, args.seed)
    bpe = Bpe.learn(data.vocabulary_texts(batches.all_names))
    text = model.TextTower(len(bpe.vocab))
    print("%d names, %d tokens, %d parameters" % (len(batches.all_names), len(bpe.vocab), sum(p.numel() for m in (text, vision) for p in m.parameters())), flush=True)

    if not args.text_only:
        scale = train_both(text, vision, batches, bpe, Clock(args.steps, args.minutes), 1.5e-3, args.half, reporter("both"))
        settle(vision, batches)
        model.save(args.out, bpe, text, vision, scale().log())
    if args.text_steps:
        cached = cache(vision, batches, args.cache_batches)
        batches.filler = args.filler
        text = model.TextTower(len(bpe.vocab))
        scale = train_text(text, cached, batches, bpe, Clock(args.text_steps, args.text_minutes), 1.5e-3, reporter("text"))
        model.save(args.out, bpe, text, vision, scale().log())


if __name__ == "__main__":
    main()
