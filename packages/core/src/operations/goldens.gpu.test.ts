import { operationGoldens, testGoldens } from "@heddle/conformance";

testGoldens(new URL("./goldens/operations.safetensors", import.meta.url), operationGoldens, {
  backend: "webgpu",
  forward: 1e-4,
  gradient: 1e-3,
});
