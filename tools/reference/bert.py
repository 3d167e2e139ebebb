"""BERT: transformers' BertForMaskedLM with the pooler added, and BertForPreTraining."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch
from transformers import BertConfig, BertForMaskedLM, BertForPreTraining, PreTrainedModel
from transformers.models.bert.modeling_bert import BertPooler

from golden import Golden
from model_case import Outputs, build, model_golden, token_ids

FOLDER = "packages/models/src/bert/goldens"
VOCABULARY = 71
MASKED = (
    "The mask only takes keys away: masked positions are ordinary queries that see the kept keys. "
    "Position ids are 0, 1, 2... whatever the mask says."
)


def small_config(**changes: object) -> BertConfig:
    shape = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 37}
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return BertConfig(**{"vocab_size": VOCABULARY, "max_position_embeddings": 17, **shape, **dropout, **changes})


def with_pooler(config: BertConfig) -> PreTrainedModel:
    """BertForMaskedLM has no pooler of its own."""
    model = build(BertForMaskedLM, config)
    model.bert.pooler = BertPooler(config)
    return model


def forward(model: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> Outputs:
    out = model(**inputs, output_hidden_states=True)
    pooled = model.bert.pooler(out.hidden_states[-1])
    if isinstance(model, BertForPreTraining):
        extra = {"seq_relationship_logits": out.seq_relationship_logits}
        return Outputs(out.hidden_states, out.prediction_logits, pooled, extra)
    return Outputs(out.hidden_states, out.logits, pooled)


def padded_inputs(seed: int, lengths: tuple[int, ...], length: int) -> dict[str, torch.Tensor]:
    """Rows padded right with token 0; token types 1 from the middle of each row."""
    place = torch.arange(length)
    mask = torch.stack([(place < kept).long() for kept in lengths])
    types = torch.stack([(place >= kept // 2).long() for kept in lengths]) * mask
    ids = token_ids(seed, (len(lengths), length), VOCABULARY, avoid=0) * mask
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}


def old_names(made: Golden, model: PreTrainedModel) -> Golden:
    """The same golden under the names of old checkpoints, once transformers itself has loaded those names."""
    renamed = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): values
        for name, values in made.tensors.items()
        if not name.startswith("gradients/")
    }
    weights = {name.removeprefix("weights/"): values for name, values in renamed.items() if name.startswith("weights/")}
    with tempfile.TemporaryDirectory() as folder:
        model.config.save_pretrained(folder)
        safetensors.numpy.save_file(weights, Path(folder) / "model.safetensors", {"format": "pt"})
        loaded = BertForMaskedLM.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad():
        logits = loaded(torch.from_numpy(made.tensors["inputs/input_ids"])).logits
    if not np.array_equal(logits.numpy(), made.tensors["outputs/logits"]):
        raise ValueError("old names must load to the same logits")
    return replace(made, tensors=renamed)


def goldens() -> Iterator[Golden]:
    def make(case: str, model: PreTrainedModel, inputs: dict[str, torch.Tensor], seed: int, notes: str) -> Golden:
        path = f"{FOLDER}/{case}.safetensors"
        return model_golden(path, "bert", case, model, forward, inputs, seed, notes)

    inputs = {"input_ids": token_ids(21, (1, 7), VOCABULARY, avoid=0)}
    yield make("plain", with_pooler(small_config()), inputs, 21, "No mask and no token types: all kept, all type 0.")

    inputs = padded_inputs(22, (13, 9, 5), 13)
    inputs["attention_mask"][0, 4] = 0
    notes = "Rows 1 and 2 are padded right; row 0 has one masked position in its middle. " + MASKED
    yield make("padded", with_pooler(small_config()), inputs, 22, notes)

    for case, seed, activation in (("gelu-new", 23, "gelu_new"), ("relu", 24, "relu")):
        config = small_config(hidden_act=activation, hidden_size=20, num_attention_heads=5)
        notes = f"hidden_act {activation}, in the feed-forward layers and in the MLM head. " + MASKED
        yield make(case, with_pooler(config), padded_inputs(seed, (9, 6), 9), seed, notes)

    config = small_config(type_vocab_size=3)
    notes = (
        "BertForPreTraining: outputs/seq_relationship_logits is the next-sentence head on the pooled output; it is "
        "not in the loss, so its two parameters have no gradient. " + MASKED
    )
    yield make("pretraining", build(BertForPreTraining, config), padded_inputs(25, (11, 8), 11), 25, notes)

    config = small_config(num_hidden_layers=1, hidden_size=16, num_attention_heads=2, intermediate_size=21)
    model = with_pooler(config)
    notes = "Norms are named LayerNorm.gamma and LayerNorm.beta, as in checkpoints of 2018-2019. No gradients."
    inputs = {"input_ids": token_ids(26, (1, 5), VOCABULARY, avoid=0)}
    yield old_names(make("old-names", model, inputs, 26, notes), model)
