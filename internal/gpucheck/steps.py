"""Runs PyTorch scripts one after the other in one process, so that it is imported once.

Each line of the input is a JSON list, the path of a script and its arguments. For each a line of JSON goes out: what the
script printed, or the error that ended it.
"""
import contextlib
import gc
import io
import json
import os
import runpy
import sys
import traceback

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what libraries print is no answer

import torch
import torchvision

for line in sys.stdin:
    sys.argv = json.loads(line)
    printed, answer = io.StringIO(), {}
    try:
        with contextlib.redirect_stdout(printed):
            runpy.run_path(sys.argv[0], run_name="__main__")
        answer["printed"] = printed.getvalue()
    except BaseException:
        answer["error"] = traceback.format_exc()
    try:  # the next one begins with nothing of this one's
        torch.compiler.reset()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    except Exception:
        traceback.print_exc()
    print(json.dumps(answer), file=answers, flush=True)
