"""PyTorch on the CPU, asked by torch.ts: a line of JSON for each request on stdin, its tensors' bytes behind it, and a
line of JSON for each answer on stdout. It times itself: the pipe would add to short runs."""

import base64
import json
import sys
import time

import torch
import torch.nn.functional as F

works = {}


def tensor(shape):
    count = 4
    for size in shape:
        count *= size
    return torch.frombuffer(bytearray(sys.stdin.buffer.read(count)), dtype=torch.float32).reshape(shape)


def linear(request):
    x, *rest = (tensor(shape) for shape in request["shapes"])
    layers = list(zip(rest[::2], rest[1::2]))
    has_gelu = request["activation"] == "gelu"

    def compute():
        y = x
        for weight, bias in layers:
            y = F.linear(y, weight, bias)
            if has_gelu:
                y = F.gelu(y)
        return y

    return compute


def attention(request):
    q, k, v = (tensor(shape) for shape in request["shapes"])
    is_causal = request["isCausal"]
    return lambda: F.scaled_dot_product_attention(q, k, v, is_causal=is_causal)


def answer(request):
    asked = request["ask"]
    if asked == "prepare":
        compute = {"linear": linear, "attention": attention}[request["kind"]](request)
        works.setdefault(request["id"], []).append(compute)
        return {}
    if asked == "drop":
        works.pop(request["id"], None)
        return {}
    compute = works[request["id"]][request["set"]]
    if asked == "values":
        return {"values": base64.b64encode(compute().contiguous().numpy().tobytes()).decode()}
    start = time.perf_counter()
    compute()
    return {"milliseconds": (time.perf_counter() - start) * 1000}


def main():
    torch.set_num_threads(int(sys.argv[1]))
    torch.set_grad_enabled(False)
    print(json.dumps({"version": torch.__version__}), flush=True)
    for line in sys.stdin.buffer:
        try:
            reply = answer(json.loads(line))
        except Exception as error:  # said to the asker, who knows what to do
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)


main()
