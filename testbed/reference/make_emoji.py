#!/usr/bin/env python3
"""Draws the emoji9 data set: one concept drawn by nine artists, 64-pixel tiles on palette PNG sheets.

    python3 testbed/reference/make_emoji.py                     # writes testbed/data/emoji
    python3 testbed/reference/make_emoji.py --wide out/wide     # more concepts of the training styles, only for training tinyclip

It needs npm (the artwork comes from the pinned packages below), rsvg-convert (Debian librsvg2-bin) and Pillow with WebP.
A concept is kept when all nine styles draw it and its Unicode group is one of the noun groups. Licences: testbed/data/NOTICE.
"""

import argparse
import csv
import io
import json
import pathlib
import re
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

TILE, COLUMNS = 64, 20

NAMES_PACKAGE = "unicode-emoji-json@0.9.0"
OPENMOJI = "openmoji@17.0.0"  # its table also gives the Unicode subgroups

# style, npm package, licence of the artwork, whether tinyclip is trained on it
STYLES = [
    ("noto", "@iconify-json/noto@1.2.9", "Apache-2.0 (Google)", True),
    ("twemoji", "@iconify-json/twemoji@1.2.5", "CC-BY-4.0 (Twitter, jdecked)", True),
    ("fluent3d", "@lobehub/fluent-emoji-3d@1.1.0", "MIT (Microsoft)", True),
    ("fluent-emoji-flat", "@iconify-json/fluent-emoji-flat@1.2.6", "MIT (Microsoft)", True),
    ("noto-v1", "@iconify-json/noto-v1@1.2.5", "Apache-2.0 (Google)", True),
    ("openmoji", OPENMOJI, "CC-BY-SA-4.0 (OpenMoji)", False),
    ("emojione-v1", "@iconify-json/emojione-v1@1.2.3", "CC-BY-SA-4.0 (EmojiOne)", False),
    ("fxemoji", "@iconify-json/fxemoji@1.2.2", "Apache-2.0 or CC-BY-4.0 (Mozilla)", False),
    ("fluent-emoji-high-contrast", "@iconify-json/fluent-emoji-high-contrast@1.2.6", "MIT (Microsoft)", False),
]

NOUNS = ["Animals & Nature", "Food & Drink", "Travel & Places", "Activities", "Objects"]
WIDE = NOUNS + ["Smileys & Emotion"]


def code(emoji, keep_selector):
    """The code points of an emoji in hexadecimal, joined by "-", with or without the variation selector."""
    return "-".join("%x" % ord(c) for c in emoji if keep_selector or ord(c) != 0xFE0F)


def slug(name):
    return re.sub(r"[^a-z0-9]+", "-", name.lower().replace("’", "")).strip("-")


def plain(name):
    """A concept's name in lower-case ASCII words: what a tokenizer sees."""
    name = name.lower().replace("’", "'").replace("-", " ").replace(":", "").replace("“", "").replace("”", "")
    return name.encode("ascii", "ignore").decode()


def package_folder(modules, package):
    return modules / package.rsplit("@", 1)[0]


class Iconify:
    """An icon set of iconify: SVG bodies keyed by a code point table or, where that is empty, by the name's slug.

    Aliases are not followed: an alias such as bear for bear face is another drawing."""

    def __init__(self, folder, style):
        icons = json.loads((folder / "icons.json").read_text())
        self.icons = icons["icons"]
        self.size = icons.get("width", 16), icons.get("height", 16)
        self.chars = json.loads((folder / "chars.json").read_text())
        self.joined = style == "fxemoji"

    def find(self, emoji, name):
        if self.chars:
            return next((self.chars[c] for c in (code(emoji, False), code(emoji, True)) if c in self.chars), None)
        key = slug(name).replace("-", "") if self.joined else slug(name)
        return key if key in self.icons else None

    def draw(self, key):
        icon = self.icons[key]
        box = (icon.get("left", 0), icon.get("top", 0), icon.get("width", self.size[0]), icon.get("height", self.size[1]))
        svg = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="%s %s %s %s" color="black">%s</svg>'
        return rasterise((svg % (*box, icon["body"])).encode())


class Files:
    """A folder with one picture a concept, named by its code points."""

    def __init__(self, folder, suffix):
        self.paths = {p.stem.lower(): p for p in folder.glob("*" + suffix)}

    def find(self, emoji, _):
        return next((self.paths[c] for c in (code(emoji, False), code(emoji, True)) if c in self.paths), None)

    def draw(self, path):
        if path.suffix == ".svg":
            return rasterise(path.read_bytes())
        return on_white(Image.open(path).convert("RGBA").resize((TILE, TILE), Image.LANCZOS))


def rasterise(svg):
    command = ["rsvg-convert", "--width", str(TILE), "--height", str(TILE), "--keep-aspect-ratio", "--background-color", "white"]
    png = subprocess.run(command, input=svg, capture_output=True, check=True).stdout
    drawing = Image.open(io.BytesIO(png)).convert("RGBA")
    tile = Image.new("RGBA", (TILE, TILE), "white")
    tile.paste(drawing, ((TILE - drawing.width) // 2, (TILE - drawing.height) // 2))
    return on_white(tile)


def on_white(picture):
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def open_style(modules, style, package):
    folder = package_folder(modules, package)
    if style == "fluent3d":
        return Files(folder / "assets", ".webp")
    if style == "openmoji":
        return Files(folder / "color" / "svg", ".svg")
    return Iconify(folder, style)


def install(folder):
    packages = [NAMES_PACKAGE] + [package for _, package, _, _ in STYLES]
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder)]
    subprocess.run(command + packages, check=True, stdout=subprocess.DEVNULL)


def write_sheet(path, source, keys):
    """Draws a style's tiles row by row, white where it has none, and stores them with a palette of 256 colours."""
    rows = (len(keys) + COLUMNS - 1) // COLUMNS
    sheet = Image.new("RGB", (COLUMNS * TILE, rows * TILE), "white")
    with ThreadPoolExecutor(2) as pool:
        for i, tile in enumerate(pool.map(lambda key: source.draw(key) if key is not None else None, keys)):
            if tile is not None:
                sheet.paste(tile, (i % COLUMNS * TILE, i // COLUMNS * TILE))
    sheet.quantize(256, Image.MEDIANCUT, kmeans=2, dither=Image.NONE).save(path, optimize=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modules", type=pathlib.Path, help="a node_modules folder that already holds the pinned packages")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("testbed/data/emoji"))
    parser.add_argument("--wide", type=pathlib.Path, help="write the training styles' sheets of all concepts with at least 4 of them here instead")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as scratch:
        modules = args.modules
        if modules is None:
            install(scratch)
            modules = pathlib.Path(scratch) / "node_modules"
        emoji = json.loads((package_folder(modules, NAMES_PACKAGE) / "data-by-emoji.json").read_text())
        with open(package_folder(modules, OPENMOJI) / "data" / "openmoji.csv", newline="") as table:
            subgroups = {row["hexcode"].lower().replace("-fe0f", ""): row["subgroups"] for row in csv.DictReader(table)}
        styles = [s for s in STYLES if s[3] or not args.wide]
        sources = {style: open_style(modules, style, package) for style, package, _, _ in styles}
        needed, groups = (4, WIDE) if args.wide else (len(styles), NOUNS)

        concepts, keys = [], []
        for character, entry in sorted(emoji.items(), key=lambda item: code(item[0], False)):
            found = [source.find(character, entry["name"]) for source in sources.values()]
            if entry["group"] in groups and sum(k is not None for k in found) >= needed:
                concepts.append({"code": code(character, False), "name": plain(entry["name"]),
                                 "category": entry["group"], "subcategory": subgroups.get(code(character, False), "")})
                keys.append(found)

        out = args.wide or args.out
        out.mkdir(parents=True, exist_ok=True)
        index = {"tile": TILE, "columns": COLUMNS, "styles": [], "concepts": concepts}
        for i, (style, package, licence, training) in enumerate(styles):
            own = [found[i] for found in keys]
            write_sheet(out / (style + ".png"), sources[style], own)
            index["styles"].append({"name": style, "file": style + ".png", "licence": licence, "package": package, "training": training,
                                    "missing": [j for j, key in enumerate(own) if key is None]})
        (out / "index.json").write_text(json.dumps(index, indent=1) + "\n")
        print(len(concepts), "concepts,", len(styles), "styles in", out)


if __name__ == "__main__":
    main()
