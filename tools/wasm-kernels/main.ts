// npm run kernels: compiles packages/backend-wasm/kernels into modules that the package imports.
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { faultsOf } from "./check-module.ts";
import { compile, variants } from "./compile.ts";

const root = join(import.meta.dirname, "../../packages/backend-wasm");
const sources = Object.fromEntries(
  readdirSync(join(root, "kernels")).map((file) => [file, readFileSync(join(root, "kernels", file), "utf8")]),
);
const started = performance.now();
mkdirSync(join(root, "src/generated"), { recursive: true });
for (const variant of variants) {
  const binary = await compile(sources, variant);
  const faults = faultsOf(binary);
  if (faults.length > 0) throw new Error(`kernels, ${variant.name}: ${faults.join("; ")}`);
  writeFileSync(
    join(root, "src/generated", `${variant.name}.ts`),
    `/** The kernels, as base64. */\nexport const binary: string = "${Buffer.from(binary).toString("base64")}";\n`,
  );
  const zipped = gzipSync(binary).length;
  console.log(`kernels, ${variant.name}: ${binary.length} bytes, ${zipped} with gzip`);
}
console.log(`built in ${((performance.now() - started) / 1000).toFixed(1)} s`);
