"""Runs the script of PyTorch's tutorial, which is written for the CPU, on a device: the model goes there when it is built,
and each batch when it is loaded, as the tutorial itself has it.

    tutorial.py DEVICE SCRIPT ARGUMENT…
"""
import importlib.util
import sys

device, script = sys.argv[1:3]
spec = importlib.util.spec_from_file_location("tutorial", script)
tutorial = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tutorial)

build, data = tutorial.build, tutorial.torch.utils.data


class Loader(data.DataLoader):
    def __iter__(self):
        for x, y in super().__iter__():
            yield x.to(device), y.to(device)


tutorial.build = lambda *a: build(*a).to(device)
data.DataLoader = Loader
sys.argv = sys.argv[2:]
tutorial.main()
