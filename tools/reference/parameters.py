"""Random parameters: the same values for a name, shape and seed, here and in TypeScript."""

from dataclasses import dataclass

import numpy as np
import torch

from random_stream import RandomStream

NORMS = ("ln_1", "ln_2", "ln_f", "LayerNorm", "layer_norm")


@dataclass(frozen=True)
class Scales:
    """Half widths of the uniform distributions."""

    weight: float
    bias: float
    norm: float


# Far larger than an initialisation, so that a mistake anywhere shows in the output.
SMALL = Scales(weight=0.3, bias=0.2, norm=0.3)
# A standard deviation of 0.02 for weights, as in the published initialisations.
FULL = Scales(weight=0.035, bias=0.02, norm=0.1)

RULE = (
    "v = the stream's symmetric values in row-major order of the Hugging Face tensor, all in float32. "
    "A name whose last part is 'bias': v * bias. "
    "A name ending in 'weight' below ln_1, ln_2, ln_f, LayerNorm or layer_norm: 1 + v * norm. "
    "Every other name, two dimensions: v * weight."
)


def parameter_kind(name: str) -> str:
    """'bias', 'norm' or 'weight', by the name alone."""
    parts = name.split(".")
    if parts[-1] == "bias":
        return "bias"
    return "norm" if len(parts) > 1 and parts[-2] in NORMS else "weight"


def parameter_values(seed: int, name: str, shape: tuple[int, ...], scales: Scales) -> np.ndarray:
    """The float32 values of one parameter."""
    kind = parameter_kind(name)
    if len(shape) != (2 if kind == "weight" else 1):
        raise ValueError(f"{name}: {kind} of shape {shape}")
    values = RandomStream(seed, name).symmetric(shape)
    values *= np.float32(getattr(scales, kind))
    if kind == "norm":
        values += np.float32(1)
    return values


def fill(model: torch.nn.Module, seed: int, scales: Scales) -> None:
    """Sets every parameter. A tied parameter has one name: the one under which it comes first."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(parameter_values(seed, name, tuple(parameter.shape), scales)))
