// Beside the long WebGPU tests since a case takes some ten seconds; length 1,100 and the other backends are figures.
import { goldenFamilies, testFullModel } from "@heddle/conformance";

const cases = { gpt: "gpt2-124m", bert: "bert-base", longformer: "longformer-base" };

for (const settings of goldenFamilies) {
  const name = settings.family.family as keyof typeof cases;
  const golden = new URL(`./${name}/goldens/full-${cases[name]}-128.safetensors`, import.meta.url);
  testFullModel(settings, [golden], { backend: "wasm" });
}
