"""Attention of @heddle/attention, from torch's scaled_dot_product_attention (its plain mathematical form)."""

from collections.abc import Iterator

import torch
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import LongformerConfig
from transformers.models.longformer.modeling_longformer import LongformerSelfAttention

from golden import Golden
from operation_cases import Cases, Tensors
from parameters import SMALL, fill

NOTES = (
    "query [B, H, Lq, D], key and value [B, Hk, Lk, D] with H a multiple of Hk (query head h uses key head "
    "h // (H / Hk)), mask boolean (true: may be seen), broadcast to [B, H, Lq, Lk]; scale 1/sqrt(D) unless options "
    "say otherwise. No row is empty."
)


def sdpa(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, **options: object) -> torch.Tensor:
    with sdpa_kernel(SDPBackend.MATH):
        return F.scaled_dot_product_attention(query, key, value, enable_gqa=True, **options)


def tensors(cases: Cases, case: str, query: tuple[int, ...], key: tuple[int, ...], value_width: int = 0) -> Tensors:
    shapes = {"query": query, "key": key, "value": (*key[:3], value_width or key[3])}
    return {name: cases.random(f"{case}/{name}", *shape, scale=2) for name, shape in shapes.items()}


def masks(cases: Cases) -> None:
    same = ((2, 3, 7, 5), (2, 3, 7, 5))
    place = torch.arange(7)
    distance = place[None, :] - place[:, None]

    cases.differentiate("full", {}, tensors(cases, "full", *same), sdpa)
    cases.differentiate("scale", {"scale": 0.3}, tensors(cases, "scale", *same), lambda **t: sdpa(**t, scale=0.3))
    run = lambda **t: sdpa(**t, is_causal=True)
    cases.differentiate("causal", {"pattern": "causal"}, tensors(cases, "causal", *same), run)
    wide = tensors(cases, "value-width", *same, value_width=3)
    cases.differentiate("value-width", {"note": "values are narrower than keys"}, wide, sdpa)

    masked = lambda query, key, value, mask: sdpa(query, key, value, attn_mask=mask)
    padding = torch.ones(2, 1, 1, 7, dtype=torch.bool)
    padding[1, ..., 4:] = False
    causal = (distance <= 0)[None, None]
    window = ((distance >= -2) & (distance <= 1))[None, None]
    document = torch.tensor([0, 0, 0, 1, 1, 2, 2])
    documents = (document[None, :] == document[:, None])[None, None]
    random = cases.integers("mask-random", 2, 3, 7, 7, below=2).bool() | torch.eye(7, dtype=torch.bool)
    for case, mask, options in (
        ("mask-padding", padding, {"note": "row 1 keeps 4 keys"}),
        ("mask-causal-padding", causal & padding, {"note": "causal, and row 1 keeps 4 keys"}),
        ("mask-window", window, {"pattern": "sliding window, 2 before and 1 after"}),
        ("mask-documents", documents, {"pattern": "documents 0 0 0 1 1 2 2"}),
        ("mask-random", random, {"note": "an own mask for each row and head"}),
    ):
        cases.differentiate(case, options, tensors(cases, case, *same) | {"mask": mask}, masked)


def grouped(cases: Cases) -> None:
    masked = lambda query, key, value, mask: sdpa(query, key, value, attn_mask=mask)
    for case, heads, key_heads in (("grouped", 6, 2), ("multi-query", 4, 1)):
        given = tensors(cases, case, (2, heads, 5, 4), (2, key_heads, 9, 4))
        mask = cases.integers(f"{case}/mask", 2, 1, 5, 9, below=3) > 0
        mask[..., 0] = True
        cases.differentiate(case, {"heads": heads, "keyHeads": key_heads}, given | {"mask": mask}, masked)
    given = tensors(cases, "grouped-causal", (1, 6, 7, 4), (1, 3, 7, 4))
    run = lambda **t: sdpa(**t, is_causal=True)
    cases.differentiate("grouped-causal", {"heads": 6, "keyHeads": 3, "pattern": "causal"}, given, run)
    given = tensors(cases, "query-offset", (2, 2, 3, 5), (2, 2, 10, 5))
    mask = (torch.arange(10)[None, :] <= torch.arange(7, 10)[:, None])[None, None]
    options = {"pattern": "causal", "queryOffset": 7, "note": "queries stand at positions 7, 8, 9"}
    cases.differentiate("query-offset", options, given | {"mask": mask}, masked)


def scores(cases: Cases) -> None:
    shape = ((2, 3, 7, 5), (2, 3, 7, 5))

    def soft_cap(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        capped = 1.5 * torch.tanh(query @ key.mT / 5**0.5 / 1.5)
        causal = torch.ones(7, 7, dtype=torch.bool).tril()
        return capped.masked_fill(~causal, -torch.inf).softmax(-1) @ value

    options = {"cap": 1.5, "pattern": "causal", "note": "cap * tanh(scaled score / cap), before the mask (Gemma 2)"}
    cases.differentiate("soft-cap", options, tensors(cases, "soft-cap", *shape), soft_cap)

    given = tensors(cases, "bias", *shape) | {"bias": cases.random("bias/bias", 1, 3, 7, 7, scale=2)}
    run = lambda query, key, value, bias: sdpa(query, key, value, attn_mask=bias)
    cases.differentiate("bias", {"note": "bias [1, H, Lq, Lk] is added to the scaled scores"}, given, run)


def longformer(cases: Cases) -> None:
    """transformers' LongformerSelfAttention alone: windows, globals and padding on [B, L, W]."""
    config = LongformerConfig(hidden_size=15, num_attention_heads=3, num_hidden_layers=1, attention_window=[4])
    config.attention_probs_dropout_prob = 0.0
    module = LongformerSelfAttention(config, 0).eval()
    fill(module, cases.seed, SMALL)
    parameters = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
    kept = torch.ones(2, 12, dtype=torch.int64)
    kept[0, 11:] = 0
    kept[1, 8:] = 0
    marked = torch.zeros(2, 12, dtype=torch.int64)
    marked[0, [0, 5, 6]] = 1
    marked[1, 3] = 1

    # LongformerModel's own rule: below 0 masked, 0 local, above 0 global.
    state = kept * (marked + 1) - 1

    def run(hidden: torch.Tensor, attentionMask: torch.Tensor, globalMask: torch.Tensor, **weights: torch.Tensor):
        arguments = {"attention_mask": state.float() * 10_000, "is_index_masked": state < 0}
        arguments |= {"is_index_global_attn": state > 0, "is_global_attn": bool((state > 0).any())}
        return torch.func.functional_call(module, weights, (hidden,), arguments)[0]

    inputs = {"hidden": cases.random("longformer/hidden", 2, 12, 15), "attentionMask": kept, "globalMask": marked}
    note = (
        "Window 4: two keys before, two after and itself. weights are [out, in]. The output is before the output "
        "projection. Rows of masked queries are zero."
    )
    cases.differentiate("longformer", {"heads": 3, "window": 4, "note": note}, inputs | parameters, run)


def goldens() -> Iterator[Golden]:
    cases = Cases(seed=42)
    for add in (masks, grouped, scores, longformer):
        add(cases)
    yield cases.golden("packages/attention/src/goldens/attention.safetensors", "attention", NOTES)
