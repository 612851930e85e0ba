"""CLIP's byte-level BPE tokenizer with a small vocabulary of its own, learned so that every word of a given list is one token."""

import collections
import json

import regex

SOS, EOT = "<|startoftext|>", "<|endoftext|>"
PATTERN = regex.compile(r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+", regex.IGNORECASE)


def byte_letters():
    """CLIP's table of 256 printable characters, one for each byte."""
    printable = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    rest = [b for b in range(256) if b not in printable]
    return dict(zip(printable + rest, [chr(b) for b in printable] + [chr(256 + i) for i in range(len(rest))]))


LETTERS = byte_letters()


def pieces(word):
    """A word as its bytes' letters, the last one marked as a word's end."""
    letters = [LETTERS[b] for b in word.encode()]
    return tuple(letters[:-1]) + (letters[-1] + "</w>",)


def split(text):
    """The words, numbers and signs of a text, after CLIP's lower-casing and white-space clean-up."""
    return PATTERN.findall(" ".join(text.split()).lower())


class Bpe:
    def __init__(self, vocab, merges):
        self.vocab, self.merges = vocab, merges
        self.ranks = {pair: i for i, pair in enumerate(merges)}

    @classmethod
    def learn(cls, texts):
        """Merges the most frequent pair (ties: the first in order) until each word of the texts is a single token."""
        words = {word: pieces(word) for word in sorted({w for text in texts for w in split(text)})}
        merges = []
        while True:
            pairs = collections.Counter(pair for p in words.values() for pair in zip(p, p[1:]))
            if not pairs:
                break
            best = max(sorted(pairs), key=pairs.get)
            merges.append(best)
            words = {word: merged(p, best) for word, p in words.items()}
        letters = list(LETTERS.values())
        tokens = letters + [c + "</w>" for c in letters] + ["".join(m) for m in merges] + [SOS, EOT]
        return cls({token: i for i, token in enumerate(dict.fromkeys(tokens))}, merges)

    @classmethod
    def load(cls, folder):
        vocab = json.loads((folder / "vocab.json").read_text())
        lines = (folder / "merges.txt").read_text().split("\n")[1:]
        return cls(vocab, [tuple(line.split(" ")) for line in lines if line])

    def save(self, folder):
        (folder / "vocab.json").write_text(json.dumps(self.vocab, ensure_ascii=True))
        (folder / "merges.txt").write_text("#version: 0.2\n" + "".join("%s %s\n" % pair for pair in self.merges))

    @property
    def sos(self):
        return self.vocab[SOS]

    @property
    def eot(self):
        return self.vocab[EOT]

    def encode(self, text):
        """The token ids of a text, without SOS and EOT."""
        ids = []
        for word in split(text):
            if word in (SOS, EOT):
                ids.append(self.vocab[word])
                continue
            parts = pieces(word)
            while len(parts) > 1:
                best = min(zip(parts, parts[1:]), key=lambda pair: self.ranks.get(pair, len(self.merges)))
                if best not in self.ranks:
                    break
                parts = merged(parts, best)
            ids += [self.vocab[p] for p in parts]
        return ids


def merged(parts, pair):
    out, i = [], 0
    while i < len(parts):
        if parts[i:i + 2] == pair:
            out.append(parts[i] + parts[i + 1])
            i += 2
        else:
            out.append(parts[i])
            i += 1
    return tuple(out)
