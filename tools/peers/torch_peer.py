"""PyTorch on the CPU, asked by torch.ts: a line of JSON for each request on stdin, its tensors' bytes behind it, and a
line of JSON for each answer on stdout. It times itself: the pipe would add to short runs."""

import base64
import json
import sys
import time

import torch
import torch.nn.functional as F

import torch_models

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
    q, k, v, *dy = (tensor(shape) for shape in request["shapes"])
    is_causal = request["isCausal"]
    if not dy:
        return lambda: F.scaled_dot_product_attention(q, k, v, is_causal=is_causal)
    inputs = [x.requires_grad_() for x in (q, k, v)]

    def compute():
        with torch.enable_grad():
            y = F.scaled_dot_product_attention(*inputs, is_causal=is_causal)
            gradients = torch.autograd.grad(y, inputs, dy[0])
        return torch.stack([y.detach(), *gradients])

    return compute


def decode(request):
    return torch_models.decode(request, [tensor(shape) for shape in request["shapes"]])


class Computed:
    """What computes the same each time."""

    def __init__(self, compute):
        self.step = self.values = compute


def place(request):
    kind = request["kind"]
    if kind == "training":
        return torch_models.Training(request)
    makers = {"linear": linear, "attention": attention, "encoder": torch_models.encoder, "decode": decode}
    return Computed(makers[kind](request))


def answer(request):
    asked = request["ask"]
    if asked == "prepare":
        works.setdefault(request["id"], []).append(place(request))
        return {}
    if asked == "drop":
        works.pop(request["id"], None)
        return {}
    work = works[request["id"]][request["set"]]
    if asked == "values":
        return {"values": base64.b64encode(work.values().contiguous().numpy().tobytes()).decode()}
    start = time.perf_counter()
    work.step()
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
