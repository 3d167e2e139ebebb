"""Operations of @heddle/core, from torch itself."""

from collections.abc import Iterator

import torch
from torch.nn import functional as F
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb
from transformers.models.roformer.modeling_roformer import (
    RoFormerSelfAttention,
    RoFormerSinusoidalPositionalEmbedding,
)
from transformers.pytorch_utils import Conv1D

from golden import Golden
from operation_cases import Cases, Tensors

ACTIVATIONS = {
    "gelu": lambda x: F.gelu(x),
    "gelu-tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": lambda x: F.relu(x),
    "silu": lambda x: F.silu(x),
}


def linear(cases: Cases) -> None:
    shapes = {"x": (2, 3, 5), "weight": (7, 5), "bias": (7,)}
    inputs = {name: cases.random(f"linear/{name}", *shape) for name, shape in shapes.items()}
    x, weight = inputs["x"], inputs["weight"]
    layout = {"layout": "[out, in]"}
    cases.differentiate("linear", layout, inputs, lambda x, weight, bias: F.linear(x, weight, bias))
    cases.differentiate("linear-no-bias", layout, {"x": x, "weight": weight}, lambda x, weight: F.linear(x, weight))
    for name, function in ACTIVATIONS.items():
        run = lambda x, weight, bias, function=function: function(F.linear(x, weight, bias))
        cases.differentiate(f"linear-{name}", layout | {"activation": name}, inputs, run)

    def conv1d(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(Conv1D(7, 5), {"weight": weight, "bias": bias}, (x,))

    transposed = inputs | {"weight": weight.T.contiguous()}
    cases.differentiate("linear-conv1d", {"layout": "[in, out], GPT-2's Conv1D"}, transposed, conv1d)
    a, b = cases.random("matmul/a", 2, 3, 4, 5), cases.random("matmul/b", 2, 3, 5, 7)
    cases.differentiate("matmul", {}, {"a": a, "b": b}, lambda a, b: a @ b)
    cases.differentiate("matmul-broadcast", {}, {"a": a, "b": b[:1, :1].clone()}, lambda a, b: a @ b)


def norms(cases: Cases) -> None:
    for width, epsilon in ((7, 1e-5), (33, 1e-12), (65, 1e-3)):
        name = f"layer-norm-{width}"
        inputs = {"x": cases.random(f"{name}/x", 2, 3, width, scale=3) + 2}
        inputs |= {n: cases.random(f"{name}/{n}", width) for n in ("weight", "bias")}
        run = lambda x, weight, bias, w=width, e=epsilon: F.layer_norm(x, (w,), weight, bias, e)
        cases.differentiate(name, {"epsilon": epsilon}, inputs, run)
        name = f"rms-norm-{width}"
        inputs = {"x": cases.random(f"{name}/x", 2, 3, width, scale=3), "weight": cases.random(f"{name}/weight", width)}
        run = lambda x, weight, w=width, e=epsilon: F.rms_norm(x, (w,), weight, e)
        cases.differentiate(name, {"epsilon": epsilon}, inputs, run)
    inputs = {n: cases.random(f"layer-norm-constant/{n}", 5) for n in ("weight", "bias")}
    inputs["x"] = torch.full((1, 5), 0.75)
    run = lambda x, weight, bias: F.layer_norm(x, (5,), weight, bias, 1e-5)
    cases.differentiate("layer-norm-constant", {"epsilon": 1e-5, "note": "variance 0"}, inputs, run)


def activations(cases: Cases) -> None:
    special = torch.tensor([0.0, -0.5, 0.5, -3.0, 3.0, -6.0, 6.0, -20.0, 20.0])
    for name, function in ACTIVATIONS.items():
        x = torch.cat([special, cases.random(f"{name}/x", 40, scale=4)])
        note = {"note": "the gradient at 0 is 0"} if name == "relu" else {}
        cases.differentiate(name, note, {"x": x}, function)


def losses(cases: Cases) -> None:
    logits = cases.random("cross-entropy/logits", 7, 11, scale=4)
    labels = cases.integers("cross-entropy/labels", 7, below=11)
    ignored = labels.clone()
    ignored[[1, 4]] = -100
    note = (
        "ignoreIndex -100. Label smoothing e: (1 - e) * nll + e / K * sum over all K classes of -log p. "
        "mean divides by the number of labels that are not ignored; none gives 0 for ignored ones."
    )
    for case, target, reduction, smoothing in (
        ("cross-entropy", labels, "mean", 0.0),
        ("cross-entropy-ignore", ignored, "mean", 0.0),
        ("cross-entropy-smoothing", ignored, "mean", 0.1),
        ("cross-entropy-sum", ignored, "sum", 0.1),
        ("cross-entropy-none", ignored, "none", 0.1),
    ):
        run = lambda logits, labels, r=reduction, s=smoothing: F.cross_entropy(
            logits, labels, ignore_index=-100, reduction=r, label_smoothing=s
        )
        options = {"reduction": reduction, "labelSmoothing": smoothing, "ignoreIndex": -100, "note": note}
        cases.differentiate(case, options, {"logits": logits, "labels": target}, run)
    large = torch.tensor([[1000.0, 0.0, -1000.0], [90.0, 89.0, 88.0]])
    run = lambda logits, labels: F.cross_entropy(logits, labels)
    inputs = {"logits": large, "labels": torch.tensor([1, 2])}
    options = {"reduction": "mean", "labelSmoothing": 0.0, "ignoreIndex": -100}
    note = "exp overflows unless the maximum is taken away first"
    cases.differentiate("cross-entropy-large", options | {"note": note}, inputs, run)
    run = lambda x: F.softmax(x, dim=-1)
    cases.differentiate("softmax", {"axis": -1}, {"x": cases.random("softmax/x", 3, 9, scale=5)}, run)


def embedding(cases: Cases) -> None:
    ids = cases.integers("embedding/ids", 3, 7, below=6)
    ids[0, :3] = 5
    weight = cases.random("embedding/weight", 13, 5)
    run = lambda weight, ids: F.embedding(ids, weight)
    options = {"note": "ids repeat; some rows are not used"}
    cases.differentiate("embedding", options, {"weight": weight, "ids": ids}, run)


def rotary(cases: Cases) -> None:
    for case, theta, places in (
        ("rotary-halves", 10_000.0, torch.tensor([[0, 1, 2, 3, 4], [7, 8, 9, 10, 11]])),
        ("rotary-halves-theta", 500.0, torch.tensor([[0, 0, 0, 1, 2], [30, 31, 32, 33, 34]])),
    ):
        embed = LlamaRotaryEmbedding(LlamaConfig(hidden_size=18, num_attention_heads=3, rope_theta=theta))

        def halves(query: torch.Tensor, key: torch.Tensor, positions: torch.Tensor, embed=embed) -> Tensors:
            cos, sin = embed(query, positions)
            query, key = apply_rotary_pos_emb(query, key, cos, sin)
            return {"query": query, "key": key}

        inputs = {"query": cases.random(f"{case}/q", 2, 3, 5, 6), "key": cases.random(f"{case}/k", 2, 1, 5, 6)}
        note = "Llama: component i turns with i + D/2. Query [B, H, L, D], key [B, Hk, L, D], positions [B, L]."
        options = {"theta": theta, "style": "halves", "note": note}
        cases.differentiate(case, options, inputs | {"positions": places}, halves)

    table = RoFormerSinusoidalPositionalEmbedding(64, 6)
    table._init_weight()

    def interleaved(query: torch.Tensor, key: torch.Tensor, positions: torch.Tensor) -> Tensors:
        angles = table.weight[positions][:, None]
        query, key = RoFormerSelfAttention.apply_rotary_position_embeddings(angles, query, key)
        return {"query": query, "key": key}

    inputs = {n: cases.random(f"rotary-interleaved/{n}", 2, 3, 5, 6) for n in ("query", "key")}
    inputs["positions"] = torch.tensor([[0, 1, 2, 3, 4], [7, 8, 9, 40, 63]])
    options = {"theta": 10_000.0, "style": "interleaved", "note": "RoFormer: component 2i turns with 2i + 1."}
    cases.differentiate("rotary-interleaved", options, inputs, interleaved)


def adamw(cases: Cases) -> None:
    for case, options in (
        ("adamw", {"learningRate": 0.01, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weightDecay": 0.1}),
        ("adamw-plain", {"learningRate": 0.1, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3, "weightDecay": 0.0}),
    ):
        parameter = torch.nn.Parameter(cases.random(f"{case}/parameter", 3, 5))
        optimizer = torch.optim.AdamW(
            [parameter],
            lr=options["learningRate"],
            betas=(options["beta1"], options["beta2"]),
            eps=options["epsilon"],
            weight_decay=options["weightDecay"],
            foreach=False,
        )
        inputs, outputs = {"parameter": parameter.detach().clone()}, {}
        for step in range(1, 6):
            inputs[f"gradient.{step}"] = cases.random(f"{case}/gradient.{step}", 3, 5, scale=0.5 * step)
            parameter.grad = inputs[f"gradient.{step}"].clone()
            optimizer.step()
            outputs[f"parameter.{step}"] = parameter.detach().clone()
        state = optimizer.state[parameter]
        outputs |= {"firstMoment.5": state["exp_avg"], "secondMoment.5": state["exp_avg_sq"]}
        note = "torch.optim.AdamW: p -= lr * wd * p first; then p -= lr * m^ / (sqrt(v^) + eps). Steps count from 1."
        cases.record(case, options | {"note": note}, inputs, outputs)


def clipping(cases: Cases) -> None:
    shapes = ((3, 5), (7,), (1,))
    for case, limit, scale in (("clip-norm", 1.0, 2.0), ("clip-norm-below", 50.0, 2.0)):
        parameters = [torch.nn.Parameter(torch.zeros(shape)) for shape in shapes]
        for index, parameter in enumerate(parameters):
            parameter.grad = cases.random(f"{case}/{index}", *shapes[index], scale=scale)
        inputs = {f"gradient.{index}": parameter.grad.clone() for index, parameter in enumerate(parameters)}
        norm = torch.nn.utils.clip_grad_norm_(parameters, limit, foreach=False)
        outputs = {f"gradient.{index}": parameter.grad for index, parameter in enumerate(parameters)}
        note = "clip_grad_norm_: every gradient times min(1, max / (norm + 1e-6)); norm is the one before."
        cases.record(case, {"maxNorm": limit, "note": note}, inputs, outputs | {"norm": norm})


def goldens() -> Iterator[Golden]:
    cases = Cases(seed=41)
    for add in (linear, norms, activations, losses, embedding, rotary, adamw, clipping):
        add(cases)
    yield cases.golden("packages/core/src/operations/goldens/operations.safetensors", "operations")
