import { findViolations } from "./violations.ts";

const violations = findViolations(process.cwd());
for (const violation of violations) console.error(violation);
console.log(
  violations.length === 0 ? "boundaries: all imports are allowed" : `boundaries: ${violations.length} broken`,
);
process.exitCode = violations.length === 0 ? 0 : 1;
