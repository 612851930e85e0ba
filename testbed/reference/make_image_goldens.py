#!/usr/bin/env python3
"""Image fixtures of every kind and what PIL makes of them.

    make_image_goldens.py ../../mathx/clip/testdata/images      (needs Pillow with WebP, numpy)

Writes NAME.EXT, the fixture; NAME.golden.png, PIL's exif_transpose +
convert("RGB") of it; photo.SIZE.CROP.FILTER.png, resized and cropped; and
photo.float32, the normalised pixels of one of them, little-endian CHW.
"""

import io
import os
import struct
import sys

import numpy as np
from PIL import Image, ImageDraw, ImageOps

W, H = 45, 31  # odd on purpose: chroma planes end in half a sample
FILTERS = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC, "box": Image.BOX}


def picture(w, h, seed=1):
    """Gradients, sharp edges, saturated colours and a little noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:h, 0:w]
    a = np.stack([255 * x / (w - 1), 255 * y / (h - 1), 127 + 127 * np.sin(x / 5.0 + y / 9.0)], -1)
    img = Image.fromarray(np.clip(a, 0, 255).astype(np.uint8))
    d = ImageDraw.Draw(img)
    d.rectangle([w // 5, h // 4, w // 2, h // 2], fill=(255, 0, 0))
    d.ellipse([w // 3, h // 3, 4 * w // 5, 5 * h // 6], fill=(0, 0, 255), outline=(255, 255, 0))
    d.line([0, h - 1, w - 1, 0], fill=(0, 255, 0))
    noisy = np.asarray(img).astype(int) + rng.integers(-3, 4, (h, w, 3))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def saved(img, fmt, **kw):
    b = io.BytesIO()
    img.save(b, fmt, **kw)
    return b.getvalue()


def exif(orientation):
    e = Image.Exif()
    e[0x010F] = "maker"
    e[0x0112] = orientation
    return e


def png16(img):
    """A 16-bit RGB PNG, which PIL cannot write: low bytes are noise."""
    import zlib

    a = np.asarray(img).astype(">u2") << 8 | np.random.default_rng(3).integers(0, 256, (img.height, img.width, 3))
    rows = b"".join(b"\0" + a[y].astype(">u2").tobytes() for y in range(img.height))
    chunk = lambda t, d: struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d))
    head = struct.pack(">IIBBBBB", img.width, img.height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def offset_gif(gif):
    """Puts the only frame of a GIF at (5, 4) of a larger screen, which PIL cannot write."""
    b = bytearray(gif)
    w, h = struct.unpack("<HH", b[6:10])
    b[6:10] = struct.pack("<HH", w + 8, h + 6)
    i = 13 + (3 << ((b[10] & 7) + 1) if b[10] & 0x80 else 0)
    while b[i] == 0x21:  # extensions
        i += 2
        while b[i]:
            i += b[i] + 1
        i += 1
    b[i + 1 : i + 5] = struct.pack("<HH", 5, 4)
    return bytes(b)


def fixtures():
    rgb = picture(W, H)
    alpha = rgb.copy()
    alpha.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, W).astype(np.uint8), (H, 1))))
    palette = rgb.quantize(32)
    grey = rgb.convert("L")
    for name, sub in ("444", 0), ("422", 1), ("420", 2):
        yield f"jpeg{name}.jpg", saved(rgb, "JPEG", quality=88, subsampling=sub)
    yield "jpeg420even.jpg", saved(picture(48, 32), "JPEG", quality=88, subsampling=2)
    yield "jpegtiny.jpg", saved(picture(4, 3), "JPEG", quality=88, subsampling=2)
    yield "progressive.jpg", saved(rgb, "JPEG", quality=80, progressive=True)
    yield "grey.jpg", saved(grey, "JPEG", quality=88)
    yield "cmyk.jpg", saved(rgb.convert("CMYK"), "JPEG", quality=92)
    yield "rgb.png", saved(rgb, "PNG")
    yield "rgba.png", saved(alpha, "PNG")
    yield "palette.png", saved(palette, "PNG")
    yield "palettetrns.png", saved(palette, "PNG", transparency=5)
    yield "rgbtrns.png", saved(rgb, "PNG", transparency=rgb.getpixel((3, 3)))
    yield "grey.png", saved(grey, "PNG")
    yield "greyalpha.png", saved(alpha.convert("LA"), "PNG")
    yield "onebit.png", saved(grey.point(lambda v: 255 * (v > 120)).convert("1"), "PNG")
    yield "sixteen.png", png16(rgb)
    yield "exif6.png", saved(rgb, "PNG", exif=exif(6))
    yield "plain.gif", saved(palette, "GIF")
    yield "transparent.gif", saved(palette, "GIF", transparency=7)
    yield "animated.gif", saved(palette, "GIF", save_all=True, append_images=[ImageOps.mirror(palette)], duration=50)
    yield "offset.gif", offset_gif(saved(picture(12, 9).quantize(8), "GIF"))
    yield "offsettransparent.gif", offset_gif(saved(picture(12, 9).quantize(8), "GIF", transparency=2))
    yield "lossy.webp", saved(rgb, "WEBP", quality=80)
    yield "lossyeven.webp", saved(picture(48, 32), "WEBP", quality=80)
    yield "lossyalpha.webp", saved(alpha, "WEBP", quality=80)
    yield "lossless.webp", saved(rgb, "WEBP", lossless=True)
    yield "exif8.webp", saved(rgb, "WEBP", quality=80, exif=exif(8))
    small = picture(13, 9)
    for o in range(1, 9):
        yield f"exif{o}.jpg", saved(small, "JPEG", quality=90, subsampling=0, exif=exif(o))


def crop_of(img, size, crop, resample):
    """Short side to size, long side rounded down, centre crop: as HF's CLIPImageProcessor with PIL."""
    w, h = img.size
    short, long = min(w, h), max(w, h)
    other = int(size * long / short)
    img = img.resize((size, other) if w <= h else (other, size), resample)
    left, top = (img.width - crop) // 2, (img.height - crop) // 2
    return img.crop((left, top, left + crop, top + crop))


def main(folder):
    os.makedirs(folder, exist_ok=True)
    for name, data in fixtures():
        open(f"{folder}/{name}", "wb").write(data)
        img = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
        img.save(f"{folder}/{name}.golden.png", optimize=True)
    for name, size in ("photo", (150, 101)), ("tall", (40, 97)):
        photo = picture(*size, seed=2)
        photo.save(f"{folder}/{name}.png", optimize=True)
        for side, crop in (32, 32), (33, 30), (60, 60), (101, 64), (120, 48):
            for filter, resample in FILTERS.items():
                crop_of(photo, side, crop, resample).save(f"{folder}/{name}.{side}.{crop}.{filter}.golden.png", optimize=True)
    mean, std = np.array([0.48145466, 0.4578275, 0.40821073]), np.array([0.26862954, 0.26130258, 0.27577711])
    photo = Image.open(f"{folder}/photo.png")
    x = (np.asarray(crop_of(photo, 33, 30, Image.BICUBIC)) / 255.0 - mean) / std
    x.transpose(2, 0, 1).astype("<f4").tofile(f"{folder}/photo.float32")


if __name__ == "__main__":
    main(sys.argv[1])
