"""Full-size goldens: outputs at 100 places, and no weights in the file: they follow from a seed (parameters.py)."""

from collections.abc import Iterator

import numpy as np
import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    LongformerConfig,
    LongformerForMaskedLM,
    PreTrainedModel,
)
from transformers.modeling_utils import no_init_weights

import bert
import gpt
import longformer
from golden import Golden, golden
from model_case import build, config_json, token_ids
from parameters import FULL, RULE, fill, parameter_kind
from random_stream import RandomStream, fnv1a32

PLACES = 100
SAMPLES = 16
SHORT, LONG, PADDING = 128, 1100, 17
GENERATOR = (
    "threefry2x32 with 20 rounds. key = threefry2x32(key=(seed, 0), counter=(fnv1a32(utf8 name), 0)); "
    "word[i] = threefry2x32(key, counter=(i >> 1, 0))[i & 1]; v[i] = 2 * (word[i] >> 8) * 2^-24 - 1. "
)
NOTES = (
    "places/<output> are flat positions in outputs/<output>'s full shape [1, L, W] or [1, L, V], chosen among kept "
    "positions; outputs/<output> are the values there. hidden is the last hidden state (after ln_f in GPT-2). "
)


def places(seed: int, name: str, kept: np.ndarray, width: int) -> np.ndarray:
    """Seeded flat positions in [1, L, width], int32, at kept positions only."""
    chosen = RandomStream(seed, f"places/{name}").integers((PLACES,), len(kept) * width)
    return (kept[chosen // width] * width + chosen % width).astype(np.int32)


def samples(model: PreTrainedModel, seed: int) -> list[dict[str, object]]:
    """The first and last values of the first parameter of each kind, to compare generators without a model."""
    first = {parameter_kind(name): (name, parameter) for name, parameter in reversed(list(model.named_parameters()))}
    result = []
    for kind, (name, parameter) in sorted(first.items()):
        count = parameter.numel()
        indices = [*range(SAMPLES // 2), *range(count - SAMPLES // 2, count)]
        values = parameter.detach().flatten()[indices].tolist()
        key = RandomStream(seed, name).key
        facts = {"fnv1a32": fnv1a32(name.encode()), "key": key, "shape": list(parameter.shape)}
        result.append({"name": name, "kind": kind, "indices": indices, "values": values, **facts})
    return result


def full_golden(
    folder: str, family: str, case: str, model: PreTrainedModel, inputs: dict[str, torch.Tensor], seed: int, notes: str
) -> Golden:
    with torch.no_grad():
        out = model(**inputs, output_hidden_states=True)
    length = inputs["input_ids"].shape[1]
    mask = inputs.get("attention_mask", torch.ones(1, length))
    kept = np.flatnonzero(mask[0].numpy())
    tensors = {f"inputs/{name}": value for name, value in inputs.items()}
    for name, output in (("hidden", out.hidden_states[-1]), ("logits", out.logits)):
        tensors[f"places/{name}"] = places(seed, f"{case}/{name}", kept, output.shape[-1])
        tensors[f"outputs/{name}"] = output.flatten()[torch.from_numpy(tensors[f"places/{name}"]).long()]
    rule = {"generator": GENERATOR, "rule": RULE, "scales": vars(FULL), "samples": samples(model, seed)}
    path = f"{folder}/full-{case}.safetensors"
    document = {"config": config_json(model.config), "weights": rule}
    return golden(path, family, f"full-{case}", seed, NOTES + notes, tensors, **document)


def full_model(model_class: type[PreTrainedModel], config: object, seed: int) -> PreTrainedModel:
    with no_init_weights():
        model = build(model_class, config)
    # no_init_weights skips tying too.
    model.tie_weights()
    fill(model, seed, FULL)
    return model


def right_padded(seed: int, vocabulary: int, pad: int) -> dict[str, torch.Tensor]:
    """Length 128 whose last 17 tokens are padding."""
    mask = (torch.arange(SHORT)[None] < SHORT - PADDING).long()
    ids = token_ids(seed, (1, SHORT), vocabulary, avoid=pad).masked_fill(mask == 0, pad)
    return {"input_ids": ids, "attention_mask": mask}


def gpt2(seed: int) -> Iterator[Golden]:
    model = full_model(GPT2LMHeadModel, GPT2Config(n_positions=LONG), seed)
    raised = "GPT-2 124M with n_positions raised from 1024 to 1100. "
    mask = (torch.arange(SHORT)[None] >= PADDING).long()
    inputs = {"input_ids": token_ids(seed, (1, SHORT), 50257, avoid=50256), "attention_mask": mask}
    inputs["position_ids"] = gpt.position_ids(mask)
    notes = raised + "The first 17 tokens are masked; position_ids as in gpt's golden 'padded'."
    yield full_golden(gpt.FOLDER, "gpt", "gpt2-124m-128", model, inputs, seed, notes)
    inputs = {"input_ids": token_ids(seed, (1, LONG), 50257, avoid=50256)}
    yield full_golden(gpt.FOLDER, "gpt", "gpt2-124m-1100", model, inputs, seed, raised + "No mask.")


def bert_base(seed: int) -> Iterator[Golden]:
    model = full_model(BertForMaskedLM, BertConfig(max_position_embeddings=LONG), seed)
    raised = "BERT-base (uncased vocabulary) with max_position_embeddings raised from 512 to 1100. "
    inputs = right_padded(seed, 30522, pad=0)
    inputs["token_type_ids"] = (torch.arange(SHORT)[None] >= 50).long() * inputs["attention_mask"]
    notes = raised + "The last 17 tokens are padding."
    yield full_golden(bert.FOLDER, "bert", "bert-base-128", model, inputs, seed, notes)
    inputs = {"input_ids": token_ids(seed, (1, LONG), 30522, avoid=0)}
    inputs["token_type_ids"] = (torch.arange(LONG)[None] >= 600).long()
    yield full_golden(bert.FOLDER, "bert", "bert-base-1100", model, inputs, seed, raised + "No mask.")


def longformer_base(seed: int) -> Iterator[Golden]:
    # The values of allenai/longformer-base-4096's config.json that differ from the class's defaults.
    config = LongformerConfig(
        vocab_size=50265,
        max_position_embeddings=4098,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        attention_window=[512] * 12,
        pad_token_id=longformer.PAD,
    )
    model = full_model(LongformerForMaskedLM, config, seed)
    inputs = right_padded(seed, 50265, pad=longformer.PAD)
    inputs["global_attention_mask"] = torch.zeros(1, SHORT, dtype=torch.int64)
    inputs["global_attention_mask"][0, [0, 60]] = 1
    notes = "Longformer-base-4096. The last 17 tokens are padding; globals at 0 and 60."
    yield full_golden(longformer.FOLDER, "longformer", "longformer-base-128", model, inputs, seed, notes)
    inputs = {"input_ids": token_ids(seed, (1, LONG), 50265, avoid=longformer.PAD)}
    inputs["global_attention_mask"] = torch.zeros(1, LONG, dtype=torch.int64)
    inputs["global_attention_mask"][0, [0, 7, 512, 513, 1050]] = 1
    notes = "Longformer-base-4096. Globals at 0, 7, 512, 513 and 1050; no padding."
    yield full_golden(longformer.FOLDER, "longformer", "longformer-base-1100", model, inputs, seed, notes)


def goldens() -> Iterator[Golden]:
    yield from gpt2(seed=1)
    yield from bert_base(seed=2)
    yield from longformer_base(seed=3)
