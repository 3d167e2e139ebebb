/** A device reports errors late and on the side; a test that causes one fails, whatever it asserted. */
import { activeBackend } from "@heddle/core";
import { afterEach } from "vitest";

afterEach(() => activeBackend()?.finish());
