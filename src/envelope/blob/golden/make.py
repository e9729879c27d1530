"""Makes the vectors of a caller's blob, from docs/formats.md alone. Needs the package `cryptography`."""

import pathlib
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HERE = pathlib.Path(__file__).parent


def field(data):
    return struct.pack(">I", len(data)) + data


context = {"用途": "备份", "a": "", "": "b"}
fields = [b"\x01" * 16, b"1000000000000001", b"cn-hangzhou", b"\x04" * 16, b"\x05" * 16, struct.pack(">h", 1)]
for name, value in sorted((n.encode(), v.encode()) for n, v in context.items()):
    fields += [name, value]
associated_data = b"bulla\x01\x03" + b"".join(map(field, fields))

sealed = AESGCM(b"\x06" * 32).encrypt(b"\x08" * 12, b"AAECAwQ=", associated_data)
blob = b"\x01\x01" + b"\x05" * 16 + b"\x08" * 12 + sealed
for name, data in {"associated_data": associated_data, "blob": blob}.items():
    (HERE / f"{name}.hex").write_text(data.hex() + "\n")
