/// <reference types="vite/client" />
import { goldenFamilies, testModel } from "@heddle/conformance";

const files = Object.keys(import.meta.glob(["./*/goldens/*", "!**/full-*"]));

for (const settings of goldenFamilies) {
  const { family } = settings.family;
  const small = files.flatMap((file) => file.split(`./${family}/goldens/`)[1] ?? []);
  testModel(
    settings,
    // Vite knows this form of a URL in a page.
    small.map((name) => new URL(`./${family}/goldens/${name}`, import.meta.url)),
    { backend: "webgpu" },
  );
}
