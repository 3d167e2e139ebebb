/** The contender's child as JavaScript, for a Node that cannot run the sources. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

/** Beside the peers, so that the bundle finds them; what npm installed there it may throw away. */
const FOLDER = join(import.meta.dirname, "../peers/node_modules/.cache/heddle-contender");

/** Bundles our own code, which takes a second, and gives the file. */
export async function bundleContender(): Promise<string> {
  const conditions = ["@heddle/source", "node", "import"];
  await build({
    configFile: false,
    logLevel: "warn",
    root: join(import.meta.dirname, "../.."),
    build: {
      ssr: fileURLToPath(new URL("contender-child.ts", import.meta.url)),
      outDir: FOLDER,
      emptyOutDir: true,
      target: "node20",
      minify: false,
      rolldownOptions: {
        output: { entryFileNames: "contender.mjs" },
        // The peers, which need not be there.
        external: [/^@jax-js\//, /^onnxruntime-/],
      },
    },
    ssr: { noExternal: [/^@heddle\//], resolve: { conditions } },
  });
  return join(FOLDER, "contender.mjs");
}
