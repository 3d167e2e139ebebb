"""Makes the goldens. `python tools/reference/make.py [--out FOLDER] [--only FAMILY...]`; see README.md."""

import argparse
import importlib
import os
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import transformers

import make_safetensors_oracles
from golden import write

MODULES = ("operations", "attention", "positions", "generation", "gpt", "bert", "longformer", "full_size")
FAMILIES = (*MODULES, "checkpoints")


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes the goldens with PyTorch and transformers.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[2], help="default: this repository")
    parser.add_argument("--only", nargs="+", choices=FAMILIES, default=FAMILIES, help="default: all")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    for family in options.only:
        if family == "checkpoints":
            make_safetensors_oracles.main(options.out / "packages/checkpoints/src/goldens")
            continue
        started = time.monotonic()
        for made in importlib.import_module(family).goldens():
            size = write(options.out, made)
            print(f"{size:8d} bytes  {made.path}  {time.monotonic() - started:.1f} s", flush=True)
            started = time.monotonic()


if __name__ == "__main__":
    main()
