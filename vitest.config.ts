import { playwright } from "@vitest/browser-playwright";
import { defineConfig } from "vitest/config";
import { chromiumLaunch } from "./tools/software-gpu/chromium.ts";

const conditions = ["@heddle/source", "module", "development|production"];
const mainFields = ["module", "main"];
// tfjs must load once: inline it and take its ES module everywhere, or gradients and backends go missing.
const shared = {
  resolve: { conditions: [...conditions, "node"], mainFields },
  ssr: {
    resolve: {
      conditions: [...conditions, "node"],
      mainFields,
      externalConditions: ["@heddle/source", "node"],
    },
  },
};
const test = {
  environment: "node" as const,
  server: { deps: { inline: [/@tensorflow\//] } },
  testTimeout: 60_000,
};
const gpu = {
  ...test,
  // A hook waits for what the device was given to do.
  hookTimeout: 60_000,
  pool: "forks" as const,
  fileParallelism: false,
  globalSetup: ["./tools/software-gpu/global-setup.ts"],
  setupFiles: ["./tools/software-gpu/setup.ts"],
  runner: "./tools/software-gpu/runner.ts",
};

export default defineConfig({
  test: {
    projects: [
      {
        ...shared,
        test: {
          ...test,
          name: "node",
          include: ["{packages,apps,tools}/**/*.test.ts"],
          exclude: [
            "**/*.{gpu,gpu-full,browser}.test.ts",
            // Runs outside the repository, from tarballs: npm run check:plugin.
            "tools/check-plugin/plugin/**",
            "**/node_modules/**",
            "**/dist/**",
          ],
        },
      },
      { ...shared, test: { ...gpu, name: "webgpu", include: ["{packages,apps,tools}/**/*.gpu.test.ts"] } },
      {
        ...shared,
        test: {
          ...gpu,
          name: "webgpu-full",
          // Every kernel once more, with workgroups that are zeroed as in browsers.
          include: [
            "{packages,apps,tools}/**/*.gpu-full.test.ts",
            "packages/backend-webgpu/src/*.gpu.test.ts",
          ],
          // Long, and of parts and tiles of programs that are all in other files.
          exclude: ["packages/backend-webgpu/src/{limit,calibrate}.gpu.test.ts"],
          env: { HEDDLE_ZERO_WORKGROUPS: "1" },
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
      {
        resolve: { conditions: [...conditions, "browser"] },
        // tfjs's binary, where it looks for it in a page.
        publicDir: "node_modules/@tensorflow/tfjs-backend-wasm/wasm-out",
        server: {
          // Cross-origin isolation: SharedArrayBuffer is there, as on a page that wants threads.
          headers: {
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Embedder-Policy": "require-corp",
          },
        },
        optimizeDeps: {
          include: [
            "@tensorflow/tfjs-core",
            "@tensorflow/tfjs-backend-cpu",
            "@tensorflow/tfjs-backend-wasm",
            "@tensorflow/tfjs-backend-wasm/wasm-out/tfjs-backend-wasm.js",
            "@tensorflow/tfjs-backend-webgpu",
          ],
        },
        test: {
          name: "browser",
          // One page for all: each new one loads every module again, and the device is one.
          isolate: false,
          fileParallelism: false,
          // What conforms in Node conforms in a page by the same tests, which use nothing of Node.
          include: [
            "{packages,apps,tools}/**/*.browser.test.ts",
            "packages/**/*.gpu.test.ts",
            "packages/{core,attention,models}/src/**/goldens.test.ts",
            "packages/models/src/goldens.gpu-full.test.ts",
            "packages/attention/src/{mechanisms,patterns}/*.test.ts",
            "packages/positions/src/*.test.ts",
            "packages/backend-wasm/src/*.test.ts",
          ],
          exclude: [
            // Processes, files and V8's flags, which Node alone has.
            "packages/backend-wasm/src/{pool,wasm,wide}.test.ts",
            // Long, and of what no engine decides: where tensors lie, how work is shared out, numbers below 2^-126.
            "packages/backend-wasm/src/{denormals,heap,machine,units}.test.ts",
            // A fifth of all, of programs that differ in how they see arrays beyond a limit, which is pretended.
            "packages/backend-webgpu/src/limit.gpu.test.ts",
            // Of these goldens.gpu-full.test.ts has all.
            "packages/models/src/goldens.gpu.test.ts",
          ],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          globalSetup: ["./tools/software-gpu/chromium.ts"],
          setupFiles: ["./tools/software-gpu/setup.ts"],
          browser: {
            enabled: true,
            headless: true,
            screenshotFailures: false,
            provider: playwright({ launchOptions: chromiumLaunch() }),
            instances: [{ browser: "chromium" }],
          },
        },
      },
    ],
  },
});
