import { attentionGoldens, testGoldens } from "@heddle/conformance";

for (const backend of ["cpu", "wasm"] as const)
  testGoldens(new URL("./goldens/attention.safetensors", import.meta.url), attentionGoldens, {
    backend,
    forward: 1e-5,
    gradient: 1e-4,
  });
