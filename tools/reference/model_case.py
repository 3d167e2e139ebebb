"""Small goldens of a whole model: weights, inputs, hidden states, logits and gradients."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch.nn.functional import cross_entropy
from transformers import PretrainedConfig, PreTrainedModel

from golden import Golden, golden
from parameters import SMALL, fill
from random_stream import RandomStream

IGNORE = -100


@dataclass
class Outputs:
    """What a family's forward pass gives. `hidden_states[0]` is the embeddings' output."""

    hidden_states: tuple[torch.Tensor, ...]
    logits: torch.Tensor
    pooled: torch.Tensor | None = None
    extra: dict[str, torch.Tensor] = field(default_factory=dict)


def build(model_class: type[PreTrainedModel], config: PretrainedConfig) -> PreTrainedModel:
    """A model in eval mode that computes attention by transformers' own eager code."""
    config.architectures = [model_class.__name__]
    model = model_class._from_config(config, attn_implementation="eager").eval()
    if model.config._attn_implementation != "eager":
        raise ValueError(f"attention must be eager, got {model.config._attn_implementation}")
    return model


def config_json(config: PretrainedConfig) -> dict[str, object]:
    """What save_pretrained would write to config.json."""
    return json.loads(config.to_json_string(use_diff=True))


def token_ids(seed: int, shape: tuple[int, int], vocabulary: int, avoid: int) -> torch.Tensor:
    """Random ids without the padding token: its embedding row has a gradient of its own in some models."""
    ids = torch.from_numpy(RandomStream(seed, "inputs/input_ids").integers(shape, vocabulary - 1))
    return ids + (ids >= avoid)


def token_labels(seed: int, shape: tuple[int, int], vocabulary: int, mask: torch.Tensor | None) -> torch.Tensor:
    """Random labels; ignored at about a third of the positions and at all masked ones."""
    labels = torch.from_numpy(RandomStream(seed, "inputs/labels").integers(shape, vocabulary))
    ignored = torch.from_numpy(RandomStream(seed, "inputs/labels/ignored").integers(shape, 3)) == 0
    if mask is not None:
        ignored |= mask == 0
    return labels.masked_fill(ignored, IGNORE)


def model_golden(
    path: str,
    family: str,
    case: str,
    model: PreTrainedModel,
    forward: Callable[[PreTrainedModel, dict[str, torch.Tensor]], Outputs],
    inputs: dict[str, torch.Tensor],
    seed: int,
    notes: str,
) -> Golden:
    """Fills the model, runs it forward and backward, and collects everything."""
    fill(model, seed, SMALL)
    model.zero_grad()
    ids = inputs["input_ids"]
    labels = token_labels(seed, tuple(ids.shape), model.config.vocab_size, inputs.get("attention_mask"))
    outputs = forward(model, inputs)
    loss = cross_entropy(outputs.logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORE)
    tensors = {f"inputs/{name}": value for name, value in inputs.items()} | {"inputs/labels": labels}
    tensors |= {"outputs/cross_entropy": loss, "outputs/logits": outputs.logits}
    tensors |= {f"outputs/hidden_states.{i}": state for i, state in enumerate(outputs.hidden_states)}
    tensors |= {f"outputs/{name}": value for name, value in outputs.extra.items()}
    if outputs.pooled is not None:
        shape = tuple(outputs.pooled.shape)
        cotangent = torch.from_numpy(RandomStream(seed, "inputs/pooled_cotangent").symmetric(shape))
        loss = loss + (outputs.pooled * cotangent).sum()
        tensors |= {"inputs/pooled_cotangent": cotangent, "outputs/pooled": outputs.pooled}
    loss.backward()
    tensors["outputs/loss"] = loss
    untouched = []
    for name, parameter in model.named_parameters():
        tensors[f"weights/{name}"] = parameter
        if parameter.grad is None:
            untouched.append(name)
        else:
            tensors[f"gradients/{name}"] = parameter.grad
    return golden(
        path,
        family,
        case,
        seed,
        notes,
        tensors,
        config=config_json(model.config),
        withoutGradient=untouched,
    )
