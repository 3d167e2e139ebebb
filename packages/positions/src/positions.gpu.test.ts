import { testPosition, useBackend } from "@heddle/conformance";
import { describe } from "vitest";
import { alibi } from "./alibi.ts";
import { learned } from "./learned.ts";
import { relativeBias } from "./relative-bias.ts";
import { rotary } from "./rotary.ts";
import { sinusoidal } from "./sinusoidal.ts";

describe("positions on webgpu", () => {
  useBackend("webgpu");
  for (const position of [alibi(), learned(), relativeBias({ maxDistance: 4 }), rotary(), sinusoidal()])
    testPosition(position);
});
