"""Saved models in PyTorch, in its fastest plain form: encoders (BERT), a step of decoding and of training (GPT-2)."""

import json
import os

import torch
import torch.nn.functional as F


def read_model(directory):
    """The config and the tensors, by their names without the family's prefix."""
    with open(os.path.join(directory, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    with open(os.path.join(directory, "model.safetensors"), "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = bytearray(file.read())
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        value = torch.frombuffer(data[begin:end], dtype=torch.float32).reshape(entry["shape"])
        for prefix in ("bert.", "longformer.", "transformer."):
            name = name.removeprefix(prefix)
        tensors[name] = value
    return config, tensors


def heads_of(x, heads):
    batch, length, width = x.shape
    return x.reshape(batch, length, heads, width // heads).transpose(1, 2)


def joined(x):
    batch, heads, length, width = x.shape
    return x.transpose(1, 2).reshape(batch, length, heads * width)


def encoder(request):
    config, tensors = read_model(request["directory"])
    shape = (request["batch"], request["length"])
    ids = torch.tensor(request["ids"]).reshape(shape)
    keep = torch.tensor(request["keep"]).reshape(shape) == 1
    width, heads = config["hidden_size"], config["num_attention_heads"]
    mask = None if keep.all() else keep[:, None, None, :]
    first = config["pad_token_id"] + 1 if config["model_type"] == "longformer" else 0

    def linear(x, name):
        return F.linear(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"])

    def norm(x, name):
        weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        return F.layer_norm(x, (width,), weight, bias, config["layer_norm_eps"])

    def compute():
        x = F.embedding(ids, tensors["embeddings.word_embeddings.weight"])
        x = x + tensors["embeddings.position_embeddings.weight"][first : first + shape[1]]
        x = norm(x + tensors["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for i in range(config["num_hidden_layers"]):
            layer = f"encoder.layer.{i}"
            parts = (linear(x, f"{layer}.attention.self.{part}") for part in ("query", "key", "value"))
            q, k, v = (heads_of(part, heads) for part in parts)
            seen = joined(F.scaled_dot_product_attention(q, k, v, attn_mask=mask))
            x = norm(x + linear(seen, f"{layer}.attention.output.dense"), f"{layer}.attention.output.LayerNorm")
            inner = F.gelu(linear(x, f"{layer}.intermediate.dense"))
            x = norm(x + linear(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
        return x[keep]

    return compute


def gpt(config, tensors, x, cache=None):
    """From embedded tokens to logits; with a cache, a list of keys and values by layer, of which a copy grows."""
    width, heads = config["n_embd"], config["n_head"]

    def linear(x, name):
        weight = tensors[f"{name}.weight"]
        return torch.addmm(tensors[f"{name}.bias"], x.reshape(-1, x.shape[-1]), weight).reshape(*x.shape[:-1], -1)

    def norm(x, name):
        weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        return F.layer_norm(x, (width,), weight, bias, config["layer_norm_epsilon"])

    for i in range(config["n_layer"]):
        block = f"h.{i}"
        projected = linear(norm(x, f"{block}.ln_1"), f"{block}.attn.c_attn")
        q, k, v = (heads_of(part, heads) for part in projected.split(width, dim=2))
        if cache is not None:
            k, v = torch.cat((cache[2 * i], k), 2), torch.cat((cache[2 * i + 1], v), 2)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=cache is None)
        x = x + linear(joined(seen), f"{block}.attn.c_proj")
        inner = F.gelu(linear(norm(x, f"{block}.ln_2"), f"{block}.mlp.c_fc"), approximate="tanh")
        x = x + linear(inner, f"{block}.mlp.c_proj")
    return F.linear(norm(x, "ln_f"), tensors["wte.weight"])


def decode(request, cache):
    config, tensors = read_model(request["directory"])
    past = cache[0].shape[2]
    token = torch.tensor([[request["token"]]])

    def compute():
        x = F.embedding(token, tensors["wte.weight"]) + tensors["wpe.weight"][past]
        return gpt(config, tensors, x, cache)[0]

    return compute


class Training:
    """Steps of AdamW; parameters of one dimension have no weight decay, as in nanoGPT."""

    def __init__(self, request):
        self.request = request
        self.restart()

    def restart(self):
        request = self.request
        self.config, self.tensors = read_model(request["directory"])
        parameters = [tensor.clone().requires_grad_() for tensor in self.tensors.values()]
        self.tensors = dict(zip(self.tensors, parameters))
        groups = [
            {"params": [p for p in parameters if p.dim() > 1], "weight_decay": request["weightDecay"]},
            {"params": [p for p in parameters if p.dim() == 1], "weight_decay": 0.0},
        ]
        betas = (request["beta1"], request["beta2"])
        self.parameters = parameters
        self.optimizer = torch.optim.AdamW(groups, lr=request["learningRate"], betas=betas, eps=request["epsilon"])
        length = request["length"] + 1
        self.steps = [torch.tensor(step).reshape(-1, length) for step in request["steps"]]
        self.done = 0

    def step(self):
        tokens = self.steps[self.done % len(self.steps)]
        self.done += 1
        with torch.enable_grad():
            x = F.embedding(tokens[:, :-1], self.tensors["wte.weight"])
            x = x + self.tensors["wpe.weight"][: tokens.shape[1] - 1]
            logits = gpt(self.config, self.tensors, x)
            loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), tokens[:, 1:].reshape(-1))
            self.optimizer.zero_grad()
            loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, self.request["clip"])
        self.optimizer.step()
        return loss.item()

    def values(self):
        """The losses of the first steps."""
        self.restart()
        losses = torch.tensor([self.step() for _ in range(self.request["compared"])])
        self.restart()
        return losses
