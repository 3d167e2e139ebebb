"""One golden: what it holds, and how it is written."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch
import transformers

MAX_BYTES = 300_000


@dataclass(frozen=True)
class Golden:
    """A file below 300 kB. `path` is relative to the repository; `document` becomes its metadata."""

    path: str
    tensors: dict[str, np.ndarray]
    document: dict[str, object]


def golden(path: str, family: str, case: str, seed: int, notes: str, tensors: dict, **document: object) -> Golden:
    """Adds what every golden's metadata says, and turns torch tensors into numpy arrays."""
    arrays = {name: value.detach().numpy() if torch.is_tensor(value) else value for name, value in tensors.items()}
    for name, array in arrays.items():
        if array.dtype == np.float64:
            raise ValueError(f"{path}: {name} must be float32")
        if array.dtype == np.float32 and not np.isfinite(array).all():
            raise ValueError(f"{path}: {name} must be finite")
    versions = {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__}
    return Golden(path, arrays, {"family": family, "case": case, "seed": seed, "notes": notes, **versions, **document})


def write(root: Path, made: Golden) -> int:
    """Writes a golden below `root` and returns its size in bytes. Equal goldens give equal bytes."""
    file = root / made.path
    file.parent.mkdir(parents=True, exist_ok=True)
    # numpy's ascontiguousarray would make a scalar [1].
    tensors = {name: np.array(made.tensors[name], order="C") for name in sorted(made.tensors)}
    # One key only: safetensors writes several in the order of a hash table.
    document = json.dumps(made.document, sort_keys=True, separators=(",", ":"))
    data = safetensors.numpy.save(tensors, {"heddle": document})
    if len(data) >= MAX_BYTES:
        raise ValueError(f"{made.path} must be below {MAX_BYTES} bytes, got {len(data)}")
    file.write_bytes(data)
    return len(data)
