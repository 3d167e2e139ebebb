import * as tf from "@tensorflow/tfjs-core";
import { MathBackendCPU } from "@tensorflow/tfjs-backend-cpu";
import { afterEach, describe, expect, it } from "vitest";
import { activeBackend, startBackend } from "./backend.ts";
import type { BackendStarter, StartedBackend } from "./backend.ts";
import { HeddleError } from "./errors.ts";
import { kernelsFor } from "./kernel.ts";
import type { AnyKernel } from "./kernel.ts";

/** tfjs's CPU backend without its advertisement. */
function quiet(): MathBackendCPU {
  const engine = new MathBackendCPU();
  Reflect.set(engine, "firstUse", false);
  return engine;
}

function starter(name: string, more: Partial<StartedBackend> = {}): BackendStarter {
  return {
    name,
    start: async () => ({ engine: quiet(), description: `${name} here`, kernels: [], ...more }),
  };
}

function refusing(name: string, reason: unknown): BackendStarter {
  return { name, start: () => Promise.reject(reason) };
}

const kernel: AnyKernel = {
  name: "twice.f32.loop",
  backend: "loom",
  operation: "twice",
  unsupported: () => [],
  forward: () => {
    throw new Error("not called here");
  },
};

afterEach(async () => {
  while (activeBackend()) await activeBackend()!.dispose();
});

describe("startBackend", () => {
  it("makes the first that works the active one and keeps the reasons of the others", async () => {
    const backend = await startBackend(
      refusing("a", new HeddleError("unsupported", "no a here")),
      refusing("b", { message: "tfjs rejects with plain objects" }),
      starter("loom"),
      starter("never"),
    );
    expect(tf.getBackend()).toBe("loom");
    expect(activeBackend()).toBe(backend);
    expect(backend.description).toBe("loom here");
    expect(backend.refused).toEqual([
      { name: "a", reason: "no a here" },
      { name: "b", reason: "tfjs rejects with plain objects" },
    ]);
    expect(tf.engine().backendNames()).not.toContain("never");
  });

  it("throws every reason when none works, and leaves nothing registered", async () => {
    const names = tf.engine().backendNames();
    const half: BackendStarter = {
      name: "half",
      start: async () => {
        tf.registerBackend("half", () => new MathBackendCPU());
        throw new Error("broke in the middle");
      },
    };
    const error = await startBackend(refusing("a", new Error("no a here")), half).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(HeddleError);
    expect(error).toMatchObject({
      code: "unsupported",
      message: "startBackend: no backend can run here. a: no a here; half: broke in the middle",
    });
    expect(tf.engine().backendNames()).toEqual(names);
    expect(activeBackend()).toBeUndefined();
  });

  it("stops what was started when tfjs refuses it", async () => {
    let stopped = 0;
    const bad: BackendStarter = {
      name: "bad",
      start: async () => ({
        description: "",
        kernels: [],
        stop: () => {
          stopped++;
        },
        get engine(): MathBackendCPU {
          throw new Error("no engine");
        },
      }),
    };
    await expect(startBackend(bad)).rejects.toThrow("no engine");
    expect(stopped).toBe(1);
  });

  it("needs a starter", async () => {
    await expect(startBackend()).rejects.toThrow(
      "startBackend: starters must hold at least one, for example cpu(), got []",
    );
  });

  it("installs the kernels while the backend runs", async () => {
    const backend = await startBackend(starter("loom", { kernels: [kernel] }));
    expect(backend.kernels).toEqual([kernel]);
    expect(kernelsFor("twice", "loom")).toEqual([kernel]);
    await backend.dispose();
    expect(kernelsFor("twice", "loom")).toEqual([]);
  });

  it("refuses a second backend of the same name, and one that tfjs started by itself", async () => {
    await startBackend(starter("loom"));
    await expect(startBackend(starter("loom"))).rejects.toMatchObject({ code: "invalid-state" });
    tf.registerBackend("own", () => new MathBackendCPU());
    await tf.setBackend("own");
    await expect(startBackend(starter("own"))).rejects.toThrow(
      'startBackend: "own" must not run in tfjs already',
    );
    expect(tf.engine().backendNames()).toContain("own");
    tf.removeBackend("own");
  });

  it("starts one at a time, the last one active", async () => {
    const [a, b] = await Promise.all([startBackend(starter("a")), startBackend(starter("b"))]);
    expect(tf.getBackend()).toBe("b");
    expect(activeBackend()).toBe(b);
    await a.dispose();
    expect(tf.getBackend()).toBe("b");
    await b.dispose();
    expect(activeBackend()).toBeUndefined();
  });
});

describe("Backend.dispose", () => {
  it("makes the backend before it active again", async () => {
    const a = await startBackend(starter("a"));
    const b = await startBackend(starter("b"));
    await b.dispose();
    await b.dispose();
    expect(tf.getBackend()).toBe("a");
    expect(activeBackend()).toBe(a);
    expect(tf.engine().backendNames()).not.toContain("b");
  });

  it("lets the tensors left behind be disposed, not read", async () => {
    const backend = await startBackend(starter("loom"));
    const { tensors } = backend.memory();
    const left = tf.tensor1d([1, 2]);
    expect(backend.memory()).toEqual({ tensors: tensors + 1, bytes: expect.any(Number) });
    await backend.dispose();
    await expect(left.data()).rejects.toThrow(
      'tensor: must be read before its backend "loom" is disposed, got a read after',
    );
    left.dispose();
    expect(backend.memory().tensors).toBe(tensors);
  });

  it("rejects with an error of the device that nobody saw, after everything is stopped", async () => {
    let stopped = false;
    const backend = await startBackend(
      starter("loom", {
        checkErrors: () => {
          throw new HeddleError("unsupported", "the device refused");
        },
        stop: () => {
          stopped = true;
        },
      }),
    );
    expect(() => backend.checkErrors()).toThrow("the device refused");
    await expect(backend.finish()).rejects.toThrow("the device refused");
    await expect(backend.dispose()).rejects.toThrow("the device refused");
    expect(stopped).toBe(true);
    expect(activeBackend()).toBeUndefined();
  });
});
