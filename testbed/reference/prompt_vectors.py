#!/usr/bin/env python3
"""Personal prompts (see roles/promptfile) by and for the safetensors library.

    pip install safetensors numpy pynacl
    prompt_vectors.py make ../../roles/promptfile/testdata   # python.safetensors, from fixed numbers and a fixed key
    prompt_vectors.py read FILE                              # a file of anybody's: load it, check its signature
"""

import base64
import hashlib
import json
import struct
import sys

import nacl.signing
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

DOMAIN = b"dpfpl prompt\0"


def crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def nkey(public):
    """The text of a user's public key."""
    raw = bytes([20 << 3]) + public
    return base64.b32encode(raw + struct.pack("<H", crc16(raw))).decode().rstrip("=")


def from_nkey(text):
    raw = base64.b32decode(text + "=" * (-len(text) % 8))
    assert struct.unpack("<H", raw[-2:])[0] == crc16(raw[:-2]) and len(raw) == 35, "bad key"
    return raw[1:-2]


def signed(meta, context):
    def text(s):
        s = s.encode()
        return struct.pack("<Q", len(s)) + s
    entries = sorted(((k, v) for k, v in meta.items() if k != "signature"), key=lambda e: e[0].encode())
    body = struct.pack("<Q", len(entries)) + b"".join(text(k) + text(v) for k, v in entries)
    body += struct.pack("<QQ", *context.shape) + context.astype("<f4").tobytes()
    return DOMAIN + hashlib.sha256(body).digest()


def make(folder):
    key = nacl.signing.SigningKey(bytes(range(32)))
    context = (np.arange(12, dtype=np.float32).reshape(3, 4) - 5) / 8
    meta = {
        "format": "dpfpl prompt 1", "run": "clinics", "client": "north",
        "plan": hashlib.sha256(b"plan").hexdigest(), "model_version": "60",
        "backbone": hashlib.sha256(b"backbone").hexdigest(),
        "classes": json.dumps(["red heart", "<café> & \"co\"", "tree"], ensure_ascii=False, separators=(",", ":")),
        "ending": ".", "position": "front", "method": "dpfpl", "rank": "8", "protection": "noise",
        "epsilon_rdp": "7.25", "epsilon_pld": "6.5", "epsilon_rdp_all_runs": "7.5", "epsilon_pld_all_runs": "unknown",
        "delta": "1e-05", "adjacency": "zero-out", "unit": "record", "steps": "45",
        "statement": "Each record is protected.\nTruly.\n", "signer": nkey(bytes(key.verify_key)), "time": "2026-11-25T01:02:03Z",
    }
    meta["signature"] = key.sign(signed(meta, context)).signature.hex()
    save_file({"context": context}, f"{folder}/python.safetensors", meta)


def read(path):
    with safe_open(path, framework="np") as f:
        assert list(f.keys()) == ["context"], list(f.keys())
        context, meta = f.get_tensor("context"), f.metadata()
    assert context.dtype == np.float32 and context.ndim == 2
    nacl.signing.VerifyKey(from_nkey(meta["signer"])).verify(signed(meta, context), bytes.fromhex(meta["signature"]))
    print(f"{path}: {context.shape}, mean {context.mean():.6g}, signature good")
    for key in sorted(meta):
        print(f"  {key}: {meta[key]!r}")


if __name__ == "__main__":
    {"make": make, "read": read}[sys.argv[1]](sys.argv[2])
