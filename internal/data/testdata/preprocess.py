"""Times torchvision's preprocessing with Pillow on one thread, by its parts, as BenchmarkPreprocess times ours.

    python preprocess.py hymenoptera_data [rounds]

Prints milliseconds a picture: the mean of each picture's least time over the rounds. Files are in memory.
"""

import glob
import io
import os
import sys
import time

import torch
from PIL import Image
from torchvision import transforms

torch.set_num_threads(1)
rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
files = []
for path in sorted(glob.glob(os.path.join(sys.argv[1], "*", "*", "*"))):
    if not path.endswith(".gif"):
        with open(path, "rb") as f:
            files.append(f.read())

resize = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])
augment = transforms.Compose([transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip()])
normalise = transforms.Compose(
    [transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
)


def decode(i):
    return Image.open(io.BytesIO(files[i])).convert("RGB")


pictures = [decode(i) for i in range(len(files))]
crop = resize(pictures[0])
parts = {
    "decode": decode,
    "resize, crop": lambda i: resize(pictures[i]),
    "augment": lambda i: augment(pictures[i]),
    "normalise": lambda i: normalise(crop),
    "evaluation": lambda i: normalise(resize(decode(i))),
    "training": lambda i: normalise(augment(decode(i))),
}
for name, part in parts.items():
    least = [float("inf")] * len(files)
    for _ in range(rounds):
        torch.manual_seed(1)
        for i in range(len(files)):
            start = time.perf_counter()
            part(i)
            least[i] = min(least[i], time.perf_counter() - start)
    print(f"{name:14}{sum(least) / len(least) * 1e3:8.3f} ms/picture", flush=True)
