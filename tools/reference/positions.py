"""Positions of @heddle/positions, from transformers' own functions."""

from collections.abc import Iterator

import torch
from transformers import BertConfig, T5Config
from transformers.models.bert.modeling_bert import BertSelfAttention
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.distilbert.modeling_distilbert import create_sinusoidal_embeddings
from transformers.models.m2m_100.modeling_m2m_100 import M2M100SinusoidalPositionalEmbedding
from transformers.models.t5.modeling_t5 import T5Attention

from golden import Golden
from operation_cases import Cases


def sinusoidal(cases: Cases) -> None:
    for width, far in ((16, (100, 511, 4095)), (7, (100,))):
        places = torch.tensor([*range(24), *far])
        table = torch.empty(max(far) + 1, width)
        create_sinusoidal_embeddings(len(table), width, table)
        note = "sin at even columns, cos at odd ones, of position / 10000^(2 floor(column / 2) / width); DistilBERT."
        options = {"width": width, "note": note}
        cases.record(f"sinusoidal-interleaved-{width}", options, {"positions": places}, {"table": table[places]})
    note = (
        "[sin | cos], each at position * 10000^(-i / (width / 2 - 1)); tensor2tensor, as in M2M-100. An odd width ends "
        "in a zero column. Computed in float32: at position 100 the angle itself is off by some 1e-5."
    )
    for width in (16, 7):
        places = torch.tensor([*range(24), 100])
        table = M2M100SinusoidalPositionalEmbedding.get_embedding(101, width)
        options = {"width": width, "note": note}
        cases.record(f"sinusoidal-concatenated-{width}", options, {"positions": places}, {"table": table[places]})


def alibi(cases: Cases) -> None:
    for heads in (1, 4, 6, 8, 12, 20):
        slopes = build_alibi_tensor(torch.ones(1, 2, dtype=torch.int64), heads, torch.float32)[:, 0, 1]
        cases.record(f"alibi-{heads}", {"heads": heads}, {}, {"slopes": slopes})
    mask = torch.tensor([[1, 1, 1, 1, 1], [0, 0, 1, 1, 1]])
    bias = build_alibi_tensor(mask, 6, torch.float32).reshape(2, 6, 5)
    note = (
        "BLOOM: slope * (running count of kept keys - 1), 0 at masked keys; it differs from slope * (key - query) by a "
        "constant in each row of scores, which the softmax takes away. bias [B, H, Lk]."
    )
    cases.record("alibi-bias", {"heads": 6, "note": note}, {"attentionMask": mask}, {"bias": bias})


def t5(cases: Cases) -> None:
    relative = torch.tensor([*range(-140, 141), -100_000, -1000, 1000, 100_000])
    for buckets, distance in ((32, 128), (16, 40)):
        for bidirectional in (True, False):
            case = f"t5-buckets-{buckets}-{distance}-{'bidirectional' if bidirectional else 'causal'}"
            result = T5Attention._relative_position_bucket(relative, bidirectional, buckets, distance)
            options = {"buckets": buckets, "maxDistance": distance, "bidirectional": bidirectional}
            note = "relative is key - query; the logarithm is in float32, truncated"
            cases.record(case, options | {"note": note}, {"relative": relative}, {"bucket": result})
    for is_decoder in (False, True):
        config = T5Config(d_model=12, d_kv=4, num_heads=3, is_decoder=is_decoder)
        config.relative_attention_num_buckets = 8
        config.relative_attention_max_distance = 20
        module = T5Attention(config, has_relative_attention_bias=True)

        def bias(table: torch.Tensor, module: T5Attention = module) -> torch.Tensor:
            return torch.func.functional_call(_Bias(module), {"inner.relative_attention_bias.weight": table}, (9, 11))

        case = f"t5-bias-{'causal' if is_decoder else 'bidirectional'}"
        options = {"buckets": 8, "maxDistance": 20, "bidirectional": not is_decoder, "queryLength": 9, "keyLength": 11}
        note = "table [buckets, H], output [1, H, Lq, Lk]"
        cases.differentiate(case, options | {"note": note}, {"table": cases.random(case, 8, 3)}, bias)


class _Bias(torch.nn.Module):
    """T5Attention.compute_bias as a forward pass, so that its table can be given."""

    def __init__(self, inner: T5Attention) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, query_length: int, key_length: int) -> torch.Tensor:
        return self.inner.compute_bias(query_length, key_length)


def relative_key(cases: Cases) -> None:
    """BERT's relative_key and relative_key_query, a whole self-attention on [B, L, W]."""
    for kind in ("relative_key", "relative_key_query"):
        config = BertConfig(hidden_size=12, num_attention_heads=3, max_position_embeddings=9)
        config.position_embedding_type = kind
        module = BertSelfAttention(config).eval()
        case = kind.replace("_", "-")
        weights = {n: cases.random(f"{case}/{n}", *p.shape, scale=0.6) for n, p in module.named_parameters()}
        run = lambda hidden, module=module, **given: torch.func.functional_call(module, given, (hidden,))[0]
        note = (
            "distance_embedding.weight [2 * max - 1, D] at query - key + max - 1, added to q.k before the division by "
            "sqrt(D); relative_key_query adds the key's term as well."
        )
        options = {"heads": 3, "maxPositions": 9, "note": note}
        cases.differentiate(case, options, {"hidden": cases.random(f"{case}/hidden", 2, 7, 12)} | weights, run)


def goldens() -> Iterator[Golden]:
    cases = Cases(seed=43)
    for add in (sinusoidal, alibi, t5, relative_key):
        add(cases)
    yield cases.golden("packages/positions/src/goldens/positions.safetensors", "positions")
