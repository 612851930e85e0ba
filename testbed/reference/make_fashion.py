#!/usr/bin/env python3
"""Cuts the fashion data set out of Fashion-MNIST: grey sheets of 28-pixel tiles, 4,000 to train on and 2,000 to test on.

    python3 testbed/reference/make_fashion.py                   # writes testbed/data/fashion

It reads the gzipped IDX files that Debian's package dataset-fashion-mnist (0.0~git20200523.55506a9-1) installs.
Which source pictures go where is fixed here, so that tinyclip is never trained on a picture that a client gets:

    clients' training pictures  the first 400 of each class among source training pictures 0 to 9,999
    clients' test pictures      the first 200 of each class among source test pictures 0 to 4,999 (the t10k files)
    tinyclip's own pictures     source training pictures 10,000 to 59,999 (train_tinyclip.py takes them from here)
"""

import argparse
import gzip
import json
import pathlib

import numpy as np
from PIL import Image

TILE, COLUMNS = 28, 50
CLASSES = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]
SOURCE = pathlib.Path("/usr/share/datasets/fashion-mnist")
CLIENT_TRAIN, MODEL_TRAIN = slice(0, 10000), slice(10000, 60000)
PARTS = [("train", "train", CLIENT_TRAIN, 400), ("test", "t10k", slice(0, 5000), 200)]


def read(source, name):
    """All pictures (n x 28 x 28) and labels (n) of one source part, "train" or "t10k"."""
    pixels = gzip.decompress((source / (name + "-images-idx3-ubyte.gz")).read_bytes())
    labels = gzip.decompress((source / (name + "-labels-idx1-ubyte.gz")).read_bytes())
    return np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, TILE, TILE), np.frombuffer(labels, np.uint8, offset=8)


def balanced(labels, each):
    """The positions of the first `each` pictures of every class, in source order."""
    chosen = np.concatenate([np.flatnonzero(labels == c)[:each] for c in range(len(CLASSES))])
    if len(chosen) != each * len(CLASSES):
        raise SystemExit("make_fashion: a class has fewer than %d pictures" % each)
    return np.sort(chosen)


def sheet(pictures):
    rows = (len(pictures) + COLUMNS - 1) // COLUMNS
    grid = np.zeros((rows * COLUMNS, TILE, TILE), np.uint8)
    grid[: len(pictures)] = pictures
    return Image.fromarray(grid.reshape(rows, COLUMNS, TILE, TILE).transpose(0, 2, 1, 3).reshape(rows * TILE, COLUMNS * TILE))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=pathlib.Path, default=SOURCE, help="folder of the gzipped IDX files (default %(default)s)")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("testbed/data/fashion"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    index = {"tile": TILE, "columns": COLUMNS, "licence": "MIT (Zalando SE)", "classes": CLASSES, "parts": []}
    for part, name, span, each in PARTS:
        pictures, labels = (a[span] for a in read(args.source, name))
        chosen = balanced(labels, each)
        sheet(pictures[chosen]).save(args.out / (part + ".png"), optimize=True)
        index["parts"].append({"name": part, "file": part + ".png", "labels": labels[chosen].tolist(),
                               "source": [int(i) + span.start for i in chosen]})
    (args.out / "index.json").write_text(json.dumps(index) + "\n")


if __name__ == "__main__":
    main()
