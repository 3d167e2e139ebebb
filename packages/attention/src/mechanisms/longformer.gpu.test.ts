import { testMechanism, useBackend } from "@heddle/conformance";
import { describe } from "vitest";
import { longformer } from "./longformer.ts";

// What Hugging Face's gives, forward and backward: the goldens of the model.
describe("longformer on webgpu", () => {
  useBackend("webgpu");
  testMechanism(longformer({ window: 4 }));
});
