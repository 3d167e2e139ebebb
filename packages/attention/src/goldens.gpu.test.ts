import { attentionGoldens, testGoldens } from "@heddle/conformance";

testGoldens(new URL("./goldens/attention.safetensors", import.meta.url), attentionGoldens, {
  backend: "webgpu",
  forward: 1e-4,
  gradient: 1e-3,
});
