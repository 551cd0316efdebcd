"""Writes the pictures of this folder with Pillow, and pixels.json: of each, its size and the SHA-256 of the RGB bytes
that Pillow reads from it. Pillow must stand on libjpeg-turbo; the kept files are Pillow 13.0's.

    python make.py
"""

import hashlib
import io
import json
import math
import os
import struct

import numpy as np
from PIL import Image

here = os.path.dirname(os.path.abspath(__file__))


def picture(w, h, noise=12):
    """A smooth picture of all colours, with noise."""
    y, x = np.mgrid[0:h, 0:w].astype(np.float64)
    channels = [
        127 + 127 * np.sin(x / 5 + y / 11),
        127 + 127 * np.sin(x / 13 - y / 7 + 1),
        127 + 127 * np.sin(x / 9 * y / 23 + 2),
    ]
    rng = np.random.default_rng(1)
    rgb = np.stack(channels, axis=-1) + rng.integers(-noise, noise + 1, (h, w, 3))
    return Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8))


def encode(image, **options):
    b = io.BytesIO()
    image.save(b, "jpeg", **options)
    return b.getvalue()


def segments(b):
    """Yields the marker, the start and the end of each segment before the data."""
    at = 2
    while True:
        marker, n = b[at + 1], struct.unpack(">H", b[at + 2 : at + 4])[0]
        yield marker, at, at + 2 + n
        at += 2 + n
        if marker == 0xDA:
            return


def patched(b, factors=None, adobe=None):
    """Changes sampling factors, which is sound where MCUs keep their number and blocks, or Adobe's transform."""
    b = bytearray(b)
    for marker, at, _ in list(segments(b)):
        if marker in (0xC0, 0xC1, 0xC2) and factors:
            for i, f in enumerate(factors):
                b[at + 4 + 6 + 3 * i + 1] = f
        if marker == 0xEE and adobe is not None:
            b[at + 4 + 11] = adobe
    return bytes(b)


def apart(w, h, factors):
    """A baseline file of one scan a channel, with any sampling factors: three grey files in one."""
    across, down = max(f >> 4 for f in factors), max(f & 15 for f in factors)
    channels = picture(w, h).convert("YCbCr").split()
    head, scans = b"", b""
    for i, f in enumerate(factors):
        size = (math.ceil(w * (f >> 4) / across), math.ceil(h * (f & 15) / down))
        grey = encode(channels[i].resize(size), quality=75)
        for marker, start, end in segments(grey):
            if marker in (0xDB, 0xC4) and i == 0:
                head += grey[start:end]
            if marker == 0xDA:
                scans += bytes([0xFF, 0xDA, 0, 8, 1, i + 1, 0, 0, 63, 0]) + grey[end:-2]
    frame = struct.pack(">BHHB", 8, h, w, len(factors))
    for i, f in enumerate(factors):
        frame += bytes([i + 1, f, 0])
    return b"\xff\xd8" + head + b"\xff\xc0" + struct.pack(">H", 2 + len(frame)) + frame + scans + b"\xff\xd9"


files = {}
for name, sampling in [("444", 0), ("422", 1), ("420", 2)]:
    for kind, progressive in [("baseline", False), ("progressive", True)]:
        for w, h in [(41, 27), (17, 16), (97, 33)]:
            files[f"{name}_{kind}_{w}x{h}"] = encode(picture(w, h), subsampling=sampling, progressive=progressive)
for w, h in [(1, 1), (2, 2), (3, 5), (5, 3), (4, 9), (6, 6), (7, 1)]:
    files[f"420_baseline_{w}x{h}"] = encode(picture(w, h), subsampling=2)
    files[f"422_progressive_{w}x{h}"] = encode(picture(w, h), subsampling=1, progressive=True)
for kind, progressive in [("baseline", False), ("progressive", True)]:
    files[f"grey_{kind}"] = encode(picture(41, 27).convert("L"), progressive=progressive)
    files[f"rgb_{kind}"] = encode(picture(41, 27), keep_rgb=True, progressive=progressive)
    files[f"cmyk_{kind}"] = encode(picture(41, 27).convert("CMYK"), progressive=progressive)
    files[f"ycck_{kind}"] = patched(encode(picture(41, 27).convert("CMYK"), progressive=progressive), adobe=2)
    files[f"440_{kind}"] = patched(encode(picture(47, 47), subsampling=1, progressive=progressive), [0x12, 0x11, 0x11])
    files[f"411_{kind}"] = patched(encode(picture(61, 61), subsampling=2, progressive=progressive), [0x41, 0x11, 0x11])
    files[f"restart_each_mcu_{kind}"] = encode(
        picture(41, 43), subsampling=2, progressive=progressive, restart_marker_blocks=1
    )
    files[f"restart_each_row_{kind}"] = encode(
        picture(41, 80), subsampling=1, progressive=progressive, restart_marker_rows=1
    )
    files[f"finest_{kind}"] = encode(picture(41, 27, 255), quality=100, progressive=progressive)
    files[f"coarsest_{kind}"] = encode(picture(41, 27, 255), quality=1, progressive=progressive, optimize=True)
for factors in [
    (0x11, 0x11, 0x11),
    (0x22, 0x11, 0x11),
    (0x22, 0x21, 0x12),
    (0x11, 0x22, 0x22),
    (0x31, 0x11, 0x11),
    (0x13, 0x11, 0x13),
    (0x42, 0x21, 0x11),
    (0x44, 0x11, 0x22),
]:
    files["apart_" + "_".join(f"{f:02x}" for f in factors)] = apart(43, 29, factors)
files["fill_bytes"] = files["420_baseline_41x27"].replace(b"\xff\xdb", b"\xff\xff\xff\xdb").replace(
    b"\xff\xda", b"\0\0\xff\xff\xda"
)
files["bytes_after_the_end"] = files["420_baseline_41x27"] + b"\xff\xd8\xff more"

pixels = {}
for name, b in files.items():
    with open(os.path.join(here, name + ".jpg"), "wb") as f:
        f.write(b)
    image = Image.open(io.BytesIO(b)).convert("RGB")
    pixels[name + ".jpg"] = [image.width, image.height, hashlib.sha256(image.tobytes()).hexdigest()]
with open(os.path.join(here, "pixels.json"), "w") as f:
    f.write("{\n" + ",\n".join(f"  {json.dumps(n)}: {json.dumps(p)}" for n, p in sorted(pixels.items())) + "\n}\n")
