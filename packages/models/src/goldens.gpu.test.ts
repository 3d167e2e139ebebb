import { goldenFamilies, testModel } from "@heddle/conformance";

/** One case a family; goldens.gpu-full.test.ts has all. */
const cases = { gpt: "padded", bert: "padded", longformer: "globals" };

for (const settings of goldenFamilies) {
  const name = settings.family.family as keyof typeof cases;
  const golden = new URL(`./${name}/goldens/${cases[name]}.safetensors`, import.meta.url);
  testModel(settings, [golden], { backend: "webgpu" });
}
