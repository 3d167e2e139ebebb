"""Goldens of single operations: many named cases in one file."""

from collections.abc import Callable

import torch

from golden import Golden, golden
from random_stream import RandomStream

Tensors = dict[str, torch.Tensor]

NOTES = (
    "Tensors are <case>/<input|output|gradient>/<name>. gradient/<x> is the derivative by input/<x> of the sum over "
    "outputs of output * input/cotangent.<output>; every float input that is differentiated has one. "
    "options holds each case's settings."
)


class Cases:
    """Collects cases; `random` gives the inputs of the case at hand."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.tensors: Tensors = {}
        self.options: dict[str, dict[str, object]] = {}

    def random(self, name: str, *shape: int, scale: float = 1.0) -> torch.Tensor:
        """Uniform float32 in [-scale, scale). `name` has to be unique in the file."""
        return torch.from_numpy(RandomStream(self.seed, name).symmetric(shape)) * scale

    def integers(self, name: str, *shape: int, below: int) -> torch.Tensor:
        """Uniform int64 in [0, below)."""
        return torch.from_numpy(RandomStream(self.seed, name).integers(shape, below))

    def record(self, case: str, options: dict[str, object], inputs: Tensors, outputs: Tensors) -> None:
        """Adds a case without gradients."""
        if case in self.options:
            raise ValueError(f"case {case} is there already")
        self.options[case] = options
        for role, tensors in (("input", inputs), ("output", outputs)):
            self.tensors |= {f"{case}/{role}/{name}": value.detach().clone() for name, value in tensors.items()}

    def differentiate(
        self, case: str, options: dict[str, object], inputs: Tensors, run: Callable[..., torch.Tensor | Tensors]
    ) -> None:
        """Adds a case with the gradient of every float input under random cotangents."""
        leaves = {name: value.clone().requires_grad_(value.is_floating_point()) for name, value in inputs.items()}
        result = run(**leaves)
        outputs = {"output": result} if torch.is_tensor(result) else result
        cotangents = {name: self.random(f"{case}/{name}", *value.shape) for name, value in outputs.items()}
        sum((outputs[name] * cotangents[name]).sum() for name in outputs).backward()
        self.record(case, options, inputs | {f"cotangent.{n}": c for n, c in cotangents.items()}, outputs)
        self.tensors |= {f"{case}/gradient/{n}": leaf.grad for n, leaf in leaves.items() if leaf.grad is not None}

    def golden(self, path: str, family: str, notes: str = "") -> Golden:
        """One file with all cases."""
        return golden(path, family, "all", self.seed, f"{NOTES} {notes}".strip(), self.tensors, options=self.options)
