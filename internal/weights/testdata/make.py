"""Writes the .pth files of this folder and expected.json with PyTorch (they were made with 1.13.1)."""

import json
import torch

long = torch.arange(10, dtype=torch.float32)
state = {
    "conv.weight": torch.arange(24, dtype=torch.float32).view(2, 3, 2, 2) / 8,
    "parameter": torch.nn.Parameter(torch.tensor([1.5, -2.5])),
    "transposed": torch.arange(6, dtype=torch.float32).view(2, 3).t(),
    "permuted": torch.arange(24, dtype=torch.float32).view(2, 3, 4).permute(2, 0, 1)[1:3, :, ::2],
    "every_second": long[2:8:2],
    "shares_storage": long[1:4],
    "expanded": torch.tensor([[3.0], [4.0]]).expand(2, 3),
    "half": torch.tensor([1, -2.5, 65504, 6e-8, -6.1e-5, float("inf")]).half(),
    "bfloat16": torch.tensor([1, -3.140625, 1e30, 1e-40]).bfloat16(),
    "double": torch.tensor([0.1, -1e-300, 3], dtype=torch.float64),
    "num_batches_tracked": torch.tensor(7),
    "long": torch.tensor([-(2**62), 2**40]),
    "int": torch.tensor([-5, 6], dtype=torch.int32),
    "short": torch.tensor([-300, 300], dtype=torch.int16),
    "char": torch.tensor([-128, 127], dtype=torch.int8),
    "byte": torch.tensor([0, 255], dtype=torch.uint8),
    "bool": torch.tensor([True, False, True]),
    "empty": torch.zeros(0, 3),
    "scalar": torch.tensor(0.25),
}
torch.save(state, "zip.pth")
torch.save(state, "legacy.pth", _use_new_zipfile_serialization=False)
torch.save(state, "protocol4.pth", pickle_protocol=4)

# What a training script keeps: DataParallel's names, beside an optimizer's state.
model = torch.nn.Sequential(torch.nn.Linear(2, 1, bias=False), torch.nn.BatchNorm1d(1))
with torch.no_grad():
    model[0].weight.copy_(torch.tensor([[0.5, -0.25]]))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
model(torch.ones(2, 2)).sum().backward()
optimizer.step()
with torch.no_grad():
    model[0].weight.copy_(torch.tensor([[0.5, -0.25]]))
torch.save(
    {
        "epoch": 3,
        "best": 0.75,
        "arch": "tiny",
        "state_dict": torch.nn.DataParallel(model).state_dict(),
        "optimizer": optimizer.state_dict(),
    },
    "checkpoint.pth",
)

with open("expected.json", "w") as f:
    json.dump(
        [
            {
                "name": name,
                "shape": list(t.shape),
                "float": [str(v) for v in t.detach().float().flatten().tolist()] if t.is_floating_point() else None,
                "int": None if t.is_floating_point() else t.long().flatten().tolist(),
            }
            for name, t in state.items()
        ],
        f,
        indent=1,
    )
