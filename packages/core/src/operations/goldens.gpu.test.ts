import { operationGoldens, testGoldens } from "@heddle/conformance";

testGoldens(new URL("./goldens/operations.safetensors", import.meta.url), operationGoldens, {
  backend: "webgpu",
  forward: 1e-4,
  gradient: 1e-3,
  only: [
    "cross-entropy-smoothing",
    "embedding",
    "gelu",
    "layer-norm-33",
    "layer-norm-constant",
    "linear-gelu",
    "linear-gelu-tanh",
    "linear-silu",
    "matmul",
    "relu",
    "rms-norm-7",
    "rotary-halves",
    "rotary-interleaved",
  ],
});
