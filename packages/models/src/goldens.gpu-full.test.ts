import { readdirSync } from "node:fs";
import { goldenFamilies, testModel } from "@heddle/conformance";

for (const settings of goldenFamilies) {
  const folder = new URL(`./${settings.family.family}/goldens/`, import.meta.url);
  const small = readdirSync(folder).filter((file) => !file.startsWith("full-"));
  testModel(
    settings,
    small.map((file) => new URL(file, folder)),
    { backend: "webgpu" },
  );
}
