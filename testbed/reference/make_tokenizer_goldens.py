#!/usr/bin/env python3
"""Golden token ids for mathx/clip, by Hugging Face's tokenizers library.

    pip install tokenizers
    pip download --no-deps open_clip_torch      # ships OpenAI's merges (MIT)
    unzip open_clip_torch-*.whl open_clip/bpe_simple_vocab_16e6.txt.gz
    make_tokenizer_goldens.py open_clip/bpe_simple_vocab_16e6.txt.gz ../../mathx/clip/testdata/tokenizer

Writes
  vocab.json.gz, merges.txt.gz   OpenAI's vocabulary with its real ids, cut
                                 down to the tokens that the corpus needs
  corpus.json.gz                 nasty strings and their ids; for every run of
                                 characters that Unicode 14 assigns, a digest
                                 of the ids of each
  small.txt.gz, tokenizer.json,  a vocabulary of the first 400 merges in the
  small.json                     two other layouts, and its ids of the strings
"""

import gzip
import hashlib
import json
import os
import random
import sys
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE

SOS, EOT = "<|startoftext|>", "<|endoftext|>"

HAND = [
    "", " ", "\t\n\r\v\f", "a", "A", "a photo of a cat.", "A photo  of\ta\n CAT", "  leading and trailing  ",
    "it's", "IT'S we'RE they'Ve I'm you'LL he'd don't 'tis 's's 'sx ''s '' ' l'l 'll'd",
    "rock'n'roll o'clock’s ‘quoted’ don’t",
    "1", "12", "3.14159", "1,000,000", "10th 2nd 1st", "a1b2c3", "½ ⅔ Ⅷ ① ² ൧ ٣ 三",
    "...", "!!!", "?!?!", "--->", "<|", "|>", "<||>", "@#$%^&*()_+-=[]{}\\|;:'\",.<>/?`~", "a.b.c.d", "C++/C#", "e-mail@example.com",
    "https://example.com/path?query=1&b=%20#frag", "snake_case_name camelCaseName kebab-case-name",
    "naïve café résumé coöperate", "nai\u0308ve cafe\u0301", "Ångström ÅNGSTRÖM \u212bngstro\u0308m", "ﬁ ﬂ ﬃ ﬀ", "Straße STRASSE ẞ",
    "İstanbul ISTANBUL ıi Iİ", "ΟΔΥΣΣΕΥΣ Σ ΑΣ Σίσυφος", "ǅ ǆ Ǆ ᾈ ᾳ", "ȺȾ ⱥⱦ", "\u1e9e\u0130\u0130", "K Ω Å (kelvin ohm angstrom signs)",
    "日本語のテスト", "中文字符 漢字", "한국어 \u1112\u1161\u11ab\u1100\u1173\u11af", "Привет мир", "Ёлка ЁЛКА", "שלום עולם", "مرحبا بالعالم", "नमस्ते दुनिया", "สวัสดีชาวโลก", "გამარჯობა ᲒᲐᲛᲐᲠᲯᲝᲑᲐ", "ᎠᎡᎢ ꭰꭱ", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟙𝟚𝟛", "𐐀𐐨 𞤀𞤢",
    "😀", "😀😃😄", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇫🇷", "👍🏽 thumbs", "1️⃣", "☃ ☃️ ❤ ❤️", "cat😺dog🐶",
    "a\u00a0b\u2003c\u3000d\u200be\u2028f\u2029g\u0085h\ufeffi\u180ej\u1680k\u202fl\u205fm",
    "zero\u200dwidth\u200cjoiners\u2060here", "soft\u00adhyphen", "\u202eright to left\u202c", "\x00nul\x01\x1b[31mred\x7f", "\x1c\x1d\x1e\x1f sep", "\ufffd \ufffe \uffff \U0010ffff \ue000",
    "e" + "\u0301" * 29, "e" + "\u0301" * 70, "x" + "\u0316\u0301" * 50 + "y", "a" + "\u0300\u0316" * 15 + "b", "\u0344 \u0958 \u2126 \u1f71", "q\u0323\u0307 q\u0307\u0323", "\uac00\u11a8 \u1100\u1161\u11a8", "\u0f71\u0f72\u0f80 \u0fb3\u0f71",
    SOS, EOT, "a" + EOT + "b", "x " + SOS + " y", "<" + EOT + ">", "<|ENDOFTEXT|>", "<|EndOfText|", "<|endof text|>", "<|startoftext|" + EOT, EOT * 3, "<\u200b|endoftext|>", "<|endoftext\u0301|>",
    "ſ 'ſ", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "ab" * 60, "hahahahahahahahahahahaha", "zzzzzzzzzzzzzz", "supercalifragilisticexpialidocious", "pneumonoultramicroscopicsilicovolcanoconiosis", "antidisestablishmentarianism",
    "a photo of a boeing 737-800, a type of aircraft.", "a photo of a devon rex, a type of pet.", "a bad photo of the large lamp.", "itap of a cougar_body.", "satellite imagery of herbaceous vegetation land.",
    "a centered satellite photo of {}.", "&amp; &lt;b&gt; &#39; &nbsp;", "<b>bold</b><br/>", "{\"key\": [1, 2.5e-3, null]}", "if (x<=3 && y!='s') return;", "$5.00 €10 £3 ¥7 100%", "H₂O E=mc² x³ 10⁻⁶", "–—‒― “double” «guillemets» … · • ※ † ‡",
]


def words(bpe):
    """CLIP-like captions from whole-word tokens, and concatenations of pieces."""
    rng = random.Random(1)
    ends = [m for m in bpe if m.endswith("</w>") and m[:-4].isascii() and m[:-4].isalpha()]
    out = []
    for _ in range(60):
        out.append(" ".join(rng.choice(ends)[:-4] for _ in range(rng.randint(1, 8))))
    for _ in range(60):
        out.append("".join(rng.choice(ends)[:-4] for _ in range(rng.randint(2, 4))))
    return out


def noise():
    """Random mixtures of characters of every kind."""
    rng = random.Random(2)
    pool = [c for c in map(chr, range(0x30000)) if assigned(c)]
    common = "aAbB'sStTmMdD  \t\n.,!?-_0159éÉßİıΣ😀日本'’\u0301\u0308\u200d\u00a0"
    out = []
    for i in range(120):
        source = common if i % 2 else pool
        out.append("".join(rng.choice(source if rng.random() < 0.8 else common) for _ in range(rng.randint(1, 24))))
    return out


def assigned(c):
    return unicodedata.category(c) not in ("Cn", "Cs")


def byte_runes():
    visible = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    table = {b: chr(b) for b in visible}
    for b in range(256):
        if b not in table:
            table[b] = chr(256 + len(table) - len(visible))
    return table, visible


def simple_vocab(merges):
    table, visible = byte_runes()
    names = [table[b] for b in visible] + [table[b] for b in range(256) if b not in visible]
    names += [n + "</w>" for n in names]
    names += ["".join(m) for m in merges] + [SOS, EOT]
    return {n: i for i, n in enumerate(names)}


def tokenizer(vocab, merges):
    """As transformers' CLIPTokenizer builds it for OpenAI's checkpoints."""
    t = Tokenizer(BPE(vocab=vocab, merges=merges, continuing_subword_prefix="", end_of_word_suffix="</w>",
                      fuse_unk=False, unk_token=EOT))
    t.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), behavior="removed", invert=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False),
    ])
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([AddedToken(s, normalized=True, special=True) for s in (SOS, EOT)])
    return t


def used_merges(ids, merge_of):
    """Every merge that made these tokens, by taking them apart."""
    used, todo = set(), set(ids)
    while todo:
        i = todo.pop()
        if i in merge_of and i not in used:
            used.add(i)
            todo.update(merge_of[i][1])
    return used


def assigned_runs():
    """Runs of assigned characters, cut where blocks of 1024 end."""
    first = None
    for c in range(0x110001):
        inside = c < 0x110000 and assigned(chr(c))
        if first is not None and (not inside or c % 1024 == 0):
            yield first, c - 1
            first = None
        if inside and first is None:
            first = c


def write_gz(path, text):
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, 0) as f:
        f.write(text.encode())


def dumps(x):
    return json.dumps(x, ensure_ascii=True, separators=(",", ":"))


def main(source, folder):
    os.makedirs(folder, exist_ok=True)
    lines = gzip.open(source).read().decode().split("\n")
    merges = [tuple(l.split()) for l in lines[1 : 49152 - 256 - 2 + 1]]
    vocab = simple_vocab(merges)
    full = tokenizer(vocab, merges)
    texts = HAND + words(vocab) + noise()
    strings = [{"text": t, "ids": full.encode(t, add_special_tokens=False).ids} for t in texts]
    runs, seen = [], {i for s in strings for i in s["ids"]}
    for first, last in assigned_runs():
        h = hashlib.sha256()
        for c in map(chr, range(first, last + 1)):
            ids = full.encode("a" + c + "b " + c, add_special_tokens=False).ids
            seen.update(ids)
            h.update((" ".join(map(str, ids)) + "\n").encode())
        runs.append({"first": first, "last": last, "digest": h.hexdigest()[:8]})

    # Merges that make no token of the corpus are left out; that this changes
    # no result is checked below and by the digests.
    merge_of = {vocab["".join(m)]: (m, [vocab[m[0]], vocab[m[1]]]) for m in merges}
    keep = used_merges(seen, merge_of)
    kept = [m for m in merges if vocab["".join(m)] in keep]
    names = {n: i for n, i in vocab.items() if i < 512 or i in keep or n in (SOS, EOT)}
    check = {n: i for i, n in enumerate(names)}
    back = {check[n]: i for n, i in names.items()}
    cut = tokenizer(check, kept)
    for s in strings:
        got = [back[i] for i in cut.encode(s["text"], add_special_tokens=False).ids]
        assert got == s["ids"], s["text"]
    write_gz(f"{folder}/vocab.json.gz", dumps(names))
    write_gz(f"{folder}/merges.txt.gz", "#version: 0.2\n" + "".join(" ".join(m) + "\n" for m in kept))
    write_gz(f"{folder}/corpus.json.gz", dumps({
        "strings": strings,
        "runs": runs,
    }))

    few = merges[:400]
    small = tokenizer(simple_vocab(few), few)
    write_gz(f"{folder}/small.txt.gz", lines[0] + "\n" + "".join(" ".join(m) + "\n" for m in few))
    small.save(f"{folder}/tokenizer.json", pretty=False)
    with open(f"{folder}/small.json", "w") as f:
        f.write(dumps([small.encode(t, add_special_tokens=False).ids for t in HAND]))
    print(len(strings), "strings,", len(kept), "merges kept,", len(runs), "runs")


if __name__ == "__main__":
    main(*sys.argv[1:])
