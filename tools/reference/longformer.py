"""Longformer: transformers' LongformerForMaskedLM with the pooler added."""

from collections.abc import Iterator

import torch
from transformers import LongformerConfig, LongformerForMaskedLM, PreTrainedModel
from transformers.models.longformer.modeling_longformer import LongformerPooler, create_position_ids_from_input_ids

from golden import Golden
from model_case import Outputs, build, model_golden, token_ids

FOLDER = "packages/models/src/longformer/goldens"
VOCABULARY = 61
PAD = 1
NOTES = (
    "transformers pads the input to a multiple of the largest window, masks that padding and cuts it off again: it "
    "does not show. inputs/position_ids were not given but are what transformers used: they follow the ids, not the "
    "mask (pad_token_id + the running count of ids that are not the pad token; pad tokens have pad_token_id). "
    "Masked positions: as queries their attention output is zero before attention.output.dense, also when marked "
    "global; they stay finite, and nothing kept sees them. "
)


def small_config(**changes: object) -> LongformerConfig:
    shape = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 37}
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    tokens = {"vocab_size": VOCABULARY, "pad_token_id": PAD, "max_position_embeddings": 40, "type_vocab_size": 2}
    return LongformerConfig(**{"attention_window": [4, 8], **shape, **dropout, **tokens, **changes})


def with_pooler(config: LongformerConfig) -> PreTrainedModel:
    """LongformerForMaskedLM has no pooler of its own."""
    model = build(LongformerForMaskedLM, config)
    model.longformer.pooler = LongformerPooler(config)
    return model


def forward(model: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> Outputs:
    given = {name: value for name, value in inputs.items() if name != "position_ids"}
    out = model(**given, output_hidden_states=True)
    return Outputs(out.hidden_states, out.logits, model.longformer.pooler(out.hidden_states[-1]))


def batch(
    seed: int, length: int, kept: tuple[int, ...], marked: tuple[tuple[int, ...], ...]
) -> dict[str, torch.Tensor]:
    """Rows padded right with the pad token, each with its own global positions."""
    mask = torch.stack([(torch.arange(length) < count).long() for count in kept])
    ids = token_ids(seed, (len(kept), length), VOCABULARY, avoid=PAD).masked_fill(mask == 0, PAD)
    inputs = {"input_ids": ids, "position_ids": create_position_ids_from_input_ids(ids, PAD)}
    if min(kept) < length:
        inputs["attention_mask"] = mask
    if any(marked):
        marks = torch.zeros_like(mask)
        for row, places in enumerate(marked):
            marks[row, list(places)] = 1
        inputs["global_attention_mask"] = marks
    return inputs


def goldens() -> Iterator[Golden]:
    def make(case: str, config: LongformerConfig, inputs: dict[str, torch.Tensor], seed: int, notes: str) -> Golden:
        path = f"{FOLDER}/{case}.safetensors"
        return model_golden(path, "longformer", case, with_pooler(config), forward, inputs, seed, NOTES + notes)

    yield make("local", small_config(), batch(31, 21, (21,), ((),)), 31, "Windows 4 and 8, no globals, length 21.")

    inputs = batch(32, 21, (21, 16, 11), ((0, 9, 10, 20), (3,), ()))
    inputs["token_type_ids"] = ((torch.arange(21) >= 6).long() * inputs["attention_mask"]).contiguous()
    notes = "Row 0: globals 0, 9, 10 and 20; row 1: global 3, padded; row 2: no global, padded."
    yield make("globals", small_config(), inputs, 32, notes)

    # transformers crashes on a window of 2, and each window must divide the largest.
    config = small_config(num_hidden_layers=3, attention_window=[4, 16, 8], hidden_size=20, num_attention_heads=5)
    inputs = batch(33, 32, (32, 32), ((0,), (0, 1, 30)))
    yield make("layers", config, inputs, 33, "Windows 4, 16 and 8; the length is a multiple of all.")

    inputs = batch(34, 13, (13,), (tuple(range(13)),))
    yield make("all-global", small_config(), inputs, 34, "Every position is global.")

    inputs = batch(35, 5, (5, 3), ((0,), (0,)))
    yield make("short", small_config(), inputs, 35, "Length 5, shorter than the window of 8.")

    inputs = batch(36, 15, (15, 15), ((0, 7), (4, 14)))
    inputs["attention_mask"] = torch.ones(2, 15, dtype=torch.int64)
    inputs["attention_mask"][0, 5:8] = 0
    inputs["attention_mask"][1, 0] = 0
    inputs["attention_mask"][1, 12:] = 0
    notes = (
        "Masked positions hold ordinary tokens, so they count for the positions. Row 0 masks 5, 6 and 7 (7 is marked "
        "global: the mask wins); row 1 masks 0 and 12 to 14 (14 is marked global), so its pooled output comes from a "
        "masked position."
    )
    yield make("masked-inside", small_config(), inputs, 36, notes)
