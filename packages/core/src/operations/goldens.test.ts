import { operationGoldens, testGoldens } from "@heddle/conformance";

for (const backend of ["cpu", "wasm"] as const)
  testGoldens(new URL("./goldens/operations.safetensors", import.meta.url), operationGoldens, {
    backend,
    forward: 1e-5,
    gradient: 1e-4,
  });
