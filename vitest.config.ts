import { defineConfig } from "vitest/config";

const conditions = ["@heddle/source", "module", "node", "development|production"];
const mainFields = ["module", "main"];
// tfjs must load once: inline it and take its ES module everywhere, or gradients and backends go missing.
const shared = {
  resolve: { conditions, mainFields },
  ssr: { resolve: { conditions, mainFields, externalConditions: ["@heddle/source", "node"] } },
};
const test = {
  environment: "node" as const,
  server: { deps: { inline: [/@tensorflow\//] } },
  testTimeout: 60_000,
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
          exclude: ["**/*.gpu.test.ts", "**/*.browser.test.ts", "**/node_modules/**", "**/dist/**"],
        },
      },
    ],
  },
});
