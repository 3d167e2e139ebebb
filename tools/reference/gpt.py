"""GPT-2: transformers' GPT2LMHeadModel."""

from collections.abc import Iterator

import torch
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

from golden import Golden
from model_case import Outputs, build, model_golden, token_ids

FOLDER = "packages/models/src/gpt/goldens"
HIDDEN = (
    "The last hidden state is after ln_f (the lm head's input), the ones between are the blocks' outputs; "
    "the last block's output before ln_f is not among them. "
)


def small_config(**changes: object) -> GPT2Config:
    options = {"vocab_size": 67, "n_positions": 24, "n_embd": 20, "n_layer": 2, "n_head": 5}
    dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    return GPT2Config(**{**options, **dropout, "bos_token_id": 0, "eos_token_id": 0, **changes})


def position_ids(mask: torch.Tensor) -> torch.Tensor:
    """The rule of GenerationMixin and of GPT2LMHeadModel's callers: count kept tokens, 1 where masked."""
    return (mask.cumsum(-1) - 1).masked_fill(mask == 0, 1)


def forward(model: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> Outputs:
    out = model(**inputs, use_cache=False, output_hidden_states=True)
    return Outputs(out.hidden_states, out.logits)


def goldens() -> Iterator[Golden]:
    def make(case: str, config: GPT2Config, inputs: dict[str, torch.Tensor], seed: int, notes: str) -> Golden:
        path = f"{FOLDER}/{case}.safetensors"
        return model_golden(path, "gpt", case, build(GPT2LMHeadModel, config), forward, inputs, seed, HIDDEN + notes)

    ids = token_ids(11, (1, 9), 67, avoid=0)
    yield make("plain", small_config(), {"input_ids": ids}, 11, "No mask, so positions count from 0.")

    mask = torch.ones(3, 13, dtype=torch.int64)
    mask[1, 9:] = 0
    mask[2, :4] = 0
    ids = token_ids(12, (3, 13), 67, avoid=0) * mask
    notes = (
        "Row 0 is whole, row 1 padded right, row 2 padded left. position_ids follow generate(): the running count of "
        "kept tokens minus 1, and 1 at masked positions. (Without position_ids GPT2Model counts 0, 1, 2... whatever "
        "the mask says.) Masked positions: at row 2's masked positions transformers gives a plain mean over the "
        "values before (no key is allowed there), so do not compare them; at row 1's they are ordinary queries that "
        "see the kept keys."
    )
    inputs = {"input_ids": ids, "attention_mask": mask, "position_ids": position_ids(mask)}
    yield make("padded", small_config(n_embd=24, n_layer=3, n_head=3), inputs, 12, notes)

    config = small_config(n_embd=30, n_head=3, n_inner=50, layer_norm_epsilon=1e-3)
    inputs = {"input_ids": token_ids(13, (2, 11), 67, avoid=0)}
    yield make("odd-width", config, inputs, 13, "Width 30, 3 heads of 10, inner width 50, epsilon 1e-3.")

    config = small_config(scale_attn_by_inverse_layer_idx=True, n_layer=3)
    inputs = {"input_ids": token_ids(14, (2, 7), 67, avoid=0)}
    notes = "scale_attn_by_inverse_layer_idx: the scores of layer i (from 0) are divided by i + 1 as well."
    yield make("inverse-layer-scale", config, inputs, 14, notes)
