"""Decoding: transformers' generate() on a small GPT-2, and its logits processors on one vector."""

from collections.abc import Iterator

import torch
from transformers import GPT2LMHeadModel
from transformers.generation.logits_process import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from golden import Golden, golden
from gpt import small_config
from model_case import build, config_json, token_ids
from operation_cases import Cases
from parameters import Scales, fill

NEW_TOKENS = 12
# Wider than the other models', so that the best token leads by far more than rounding.
SCALES = Scales(weight=0.5, bias=0.3, norm=0.3)
MARGIN = 0.02
NOTES = (
    "Tensors are <case>/<input|output>/<name>, and weights/<name> for the cases that start with greedy. Those hold "
    "the prompt (left-padded where attention_mask is there: positions then follow the running count of kept tokens), "
    "the new tokens [B, 12] and the raw logits of every step [12, B, V]. The best token leads by at least 0.02. "
    "The cases that start with filter hold log_probabilities after the processors (0 where excluded) and kept (false: "
    "excluded, log-probability -inf). Order, as in generate(): repetition penalty, temperature, top-k, top-p. "
    "The penalty divides positive logits and multiplies negative ones, once per id however often it was seen. "
    "Top-k keeps what ties with the k-th. Top-p sorts upwards and drops while the cumulative probability is <= 1 - p, "
    "and keeps at least one token."
)


def greedy(cases: Cases) -> tuple[dict[str, torch.Tensor], dict[str, object]]:
    config = small_config(n_embd=24, n_head=3, vocab_size=61, n_positions=32, eos_token_id=None, bos_token_id=None)
    model = build(GPT2LMHeadModel, config)
    fill(model, cases.seed, SCALES)
    ids = token_ids(cases.seed, (2, 7), 61, avoid=0)
    mask = torch.ones(2, 7, dtype=torch.int64)
    mask[1, :3] = 0
    prompts = {"whole": {"input_ids": ids[:1]}, "padded": {"input_ids": ids * mask, "attention_mask": mask}}
    for case, prompt, penalty in (
        ("greedy", "whole", 1.0),
        ("greedy-padded", "padded", 1.0),
        ("greedy-penalty", "whole", 1.5),
    ):
        given = prompts[prompt]
        arguments = {"do_sample": False, "max_new_tokens": NEW_TOKENS, "repetition_penalty": penalty, "pad_token_id": 0}
        arguments |= {"output_logits": True, "output_scores": True, "return_dict_in_generate": True}
        arguments |= given | {"attention_mask": given.get("attention_mask", torch.ones_like(given["input_ids"]))}
        made = model.generate(**arguments, use_cache=True)
        again = model.generate(**arguments, use_cache=False)
        if not torch.equal(made.sequences, again.sequences):
            raise ValueError(f"{case}: the cache must not change the tokens")
        best = torch.stack(made.scores).topk(2).values
        if (best[..., 0] - best[..., 1]).min() < MARGIN:
            raise ValueError(f"{case}: the best token must lead by {MARGIN}, got {(best[..., 0] - best[..., 1]).min()}")
        outputs = {"tokens": made.sequences[:, 7:], "logits": torch.stack(made.logits)}
        cases.record(case, {"newTokens": NEW_TOKENS, "repetitionPenalty": penalty}, given, outputs)
    return {f"weights/{name}": parameter for name, parameter in model.named_parameters()}, config_json(config)


def filters(cases: Cases) -> None:
    logits = cases.random("filter/logits", 1, 61, scale=5)
    seen = torch.tensor([[int(logits.argmax()), 3, 3, 17, int(logits.argmin())]])
    tied = logits.clone()
    tied[0, :4] = logits.max()
    penalty, temperature = RepetitionPenaltyLogitsProcessor(1.3), TemperatureLogitsWarper(0.7)
    for case, options, vector, processors in (
        ("filter-none", {}, logits, []),
        ("filter-temperature", {"temperature": 0.7}, logits, [temperature]),
        ("filter-top-k", {"topK": 5}, logits, [TopKLogitsWarper(5)]),
        ("filter-top-k-ties", {"topK": 2}, tied, [TopKLogitsWarper(2)]),
        ("filter-top-k-all", {"topK": 100}, logits, [TopKLogitsWarper(100)]),
        ("filter-top-p", {"topP": 0.9}, logits, [TopPLogitsWarper(0.9)]),
        ("filter-top-p-one", {"topP": 0.01}, logits, [TopPLogitsWarper(0.01)]),
        ("filter-penalty", {"repetitionPenalty": 1.3}, logits, [penalty]),
        (
            "filter-all",
            {"repetitionPenalty": 1.3, "temperature": 0.7, "topK": 12, "topP": 0.8},
            logits,
            [penalty, temperature, TopKLogitsWarper(12), TopPLogitsWarper(0.8)],
        ),
    ):
        scores = LogitsProcessorList(processors)(seen, vector.clone()).log_softmax(-1)
        kept = scores > -torch.inf
        outputs = {"log_probabilities": scores.masked_fill(~kept, 0), "kept": kept}
        cases.record(case, options, {"logits": vector, "seen": seen}, outputs)


def goldens() -> Iterator[Golden]:
    cases = Cases(seed=194)
    weights, config = greedy(cases)
    filters(cases)
    path = "packages/generation/src/goldens/generation.safetensors"
    tensors = cases.tensors | weights
    yield golden(path, "generation", "all", cases.seed, NOTES, tensors, options=cases.options, config=config)
