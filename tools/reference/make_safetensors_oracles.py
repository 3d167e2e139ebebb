"""Makes packages/checkpoints/src/goldens: small files written by the reference implementation of safetensors.

    python tools/reference/make_safetensors_oracles.py packages/checkpoints/src/goldens

dtypes.safetensors: one tensor of each dtype that Heddle reads, an empty one, a scalar, and metadata.
narrowing.safetensors: float32 values (seeded; every exponent, ties, the limits, zeros, infinities) with PyTorch's
conversion of them to half precision and bfloat16.
"""

import sys
from pathlib import Path

import numpy
import torch
from safetensors.torch import save_file


def dtypes() -> dict[str, torch.Tensor]:
    return {
        "bf16": torch.tensor([[1.0, -2.5], [3.140625, float("inf")]], dtype=torch.bfloat16),
        "bool": torch.tensor([True, False, True]),
        "empty": torch.zeros((0, 3), dtype=torch.float32),
        "f16": torch.tensor([[0.5, -65504.0, 6.0e-8]], dtype=torch.float16),
        "f32": torch.arange(6, dtype=torch.float32).reshape(2, 3) / 4,
        "i32": torch.tensor([-(2**31), 0, 2**31 - 1], dtype=torch.int32),
        "i64": torch.tensor([[-(2**63)], [2**63 - 1]], dtype=torch.int64),
        "scalar": torch.tensor(7.5),
        "u8": torch.tensor([0, 1, 255], dtype=torch.uint8),
    }


def narrowing() -> dict[str, torch.Tensor]:
    random = numpy.random.Generator(numpy.random.Philox(1))
    # Every exponent that a half has, its neighbours, and bfloat16's; the low bits often exactly half of the last place.
    words = random.integers(0, 2**32, 1200, dtype=numpy.uint32)
    words[:400] = (words[:400] & 0x807FFFFF) | (random.integers(100, 145, 400, dtype=numpy.uint32) << 23)
    words[400:600] = (words[400:600] & 0xFFFFE000) | 0x1000
    words[600:800] = (words[600:800] & 0xFFFF0000) | 0x8000
    words[800:900] = (words[800:900] & 0x87FFE000) | 0x38001000
    limits = [0.0, -0.0, float("inf"), -float("inf"), 65504.0, 65519.996, 2.0**-24, 2.0**-25, 2.0**-25 * 1.0000001]
    source = numpy.concatenate([words.view(numpy.float32), numpy.array(limits, dtype=numpy.float32)])
    source = torch.from_numpy(source[~numpy.isnan(source)].copy())
    return {"bf16": source.to(torch.bfloat16), "f16": source.to(torch.float16), "f32": source}


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(dtypes(), folder / "dtypes.safetensors", {"format": "pt"})
    save_file(narrowing(), folder / "narrowing.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
