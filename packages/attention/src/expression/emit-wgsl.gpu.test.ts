import { describe, expect, it } from "vitest";
import { randomExpression, randomModifier } from "@heddle/conformance";
import { randomStream } from "@heddle/core";
import { applyModifier } from "./apply-modifier.ts";
import { constant } from "./builders.ts";
import { scoreDerivative } from "./derivative.ts";
import { emitMaskWgsl, emitModifierWgsl, tableWords } from "./emit-wgsl.ts";
import type { EmittedWgsl } from "./emit-wgsl.ts";
import { allows } from "./evaluate.ts";
import type { BooleanNode } from "./tree.ts";

/** Random trees a shader: compiling is what costs in software. */
const together = 20;
const [rows, keys, queryOffset, heads] = [12, 40, 5, 4];

let device: Promise<GPUDevice> | undefined;
async function start(): Promise<GPUDevice> {
  const adapter = await navigator.gpu.requestAdapter();
  if (!adapter) throw new Error("no WebGPU adapter");
  return adapter.requestDevice();
}

/** Runs a compute shader over `count` threads; `inputs` are bound from 1 on, the result is bound at 0. */
async function compute(
  code: string,
  inputs: readonly (Uint32Array | Int32Array | Float32Array)[],
  words: number,
  count: number,
) {
  const gpu = await (device ??= start());
  gpu.pushErrorScope("validation");
  const module = gpu.createShaderModule({ code });
  const { messages } = await module.getCompilationInfo();
  const wrong = messages.find(({ type }) => type === "error");
  if (wrong)
    throw new Error(`${wrong.message} in line ${wrong.lineNum}: ${code.split("\n")[wrong.lineNum - 1]}`);
  const pipeline = await gpu.createComputePipelineAsync({
    layout: "auto",
    compute: { module, entryPoint: "main" },
  });
  const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const size = Math.max(4, words * 4);
  const result = gpu.createBuffer({ size, usage: STORAGE | COPY_SRC });
  const copy = gpu.createBuffer({ size, usage: MAP_READ | COPY_DST });
  const buffers = inputs.map((values) => {
    const buffer = gpu.createBuffer({ size: Math.max(4, values.byteLength), usage: STORAGE | COPY_DST });
    gpu.queue.writeBuffer(buffer, 0, values.buffer as ArrayBuffer, values.byteOffset, values.byteLength);
    return buffer;
  });
  const entries = [result, ...buffers].map((buffer, binding) => ({ binding, resource: { buffer } }));
  const encoder = gpu.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, gpu.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
  pass.dispatchWorkgroups(Math.ceil(count / 64));
  pass.end();
  encoder.copyBufferToBuffer(result, 0, copy, 0, size);
  gpu.queue.submit([encoder.finish()]);
  await copy.mapAsync(GPUMapMode.READ);
  const bytes = copy.getMappedRange().slice(0);
  for (const buffer of [result, copy, ...buffers]) buffer.destroy();
  const error = await gpu.popErrorScope();
  if (error) throw new Error(error.message);
  return bytes;
}

/** Names of one tree's functions and readers, so that several trees share a shader. */
function renamed({ code }: EmittedWgsl, at: number): string {
  return code.replaceAll(/\b(allows|modify\w*|readTable|readAttribute|readLookup)\b/g, `$1_${at}`);
}

const stream = randomStream({ seed: 3, path: "wgsl" });
const attributes = (length: number, from: number) =>
  Int32Array.from({ length }, (_, at) => stream.integer(from + at, 9) - 4);
const tokens = {
  query: { a: attributes(rows, 0), b: attributes(rows, 100) },
  key: { a: attributes(keys, 200), b: attributes(keys, 300) },
};

describe("emitMaskWgsl", () => {
  it("agrees with allows on 200 random expressions, every pair of a call", async () => {
    for (let first = 0; first < 200; first += together) {
      const nodes = Array.from({ length: together }, (_, at) =>
        randomExpression({ seed: 15, index: first + at }),
      );
      const found = await masks(nodes);
      for (const [at, node] of nodes.entries()) {
        const truth: number[] = [];
        for (let row = 0; row < rows; row++)
          for (let key = 0; key < keys; key++) {
            const pair = {
              query: { a: tokens.query.a[row] ?? 0, b: tokens.query.b[row] ?? 0 },
              key: { a: tokens.key.a[key] ?? 0, b: tokens.key.b[key] ?? 0 },
            };
            const head = (row + key) % heads;
            const context = {
              query: row + queryOffset,
              key,
              head,
              queryLength: rows + queryOffset,
              keyLength: keys,
            };
            truth.push(allows(node, { ...context, attributes: pair }) ? 1 : 0);
          }
        expect(found[at], `expression ${first + at}: ${JSON.stringify(node)}`).toEqual(truth);
      }
    }
  });

  it("floors division and modulo of negative numbers", async () => {
    const nodes: BooleanNode[] = [];
    for (const divisor of [1, 3, 8, 2 ** 31 - 1])
      for (const value of [-(2 ** 31), -9, -8, -7, -1, 0, 7, 2 ** 31 - 1]) {
        const quotient = Math.floor(value / divisor);
        const right = constant(value).dividedBy(divisor).equals(quotient);
        nodes.push(
          right.and(
            constant(value)
              .modulo(divisor)
              .equals(value - quotient * divisor),
          ).node,
        );
      }
    for (const [at, bits] of (await masks(nodes)).entries())
      expect(
        bits.every((bit) => bit === 1),
        JSON.stringify(nodes[at]),
      ).toBe(true);
  });
});

/** The masks of some expressions over all pairs of the call; the head of a pair is (row + key) modulo the heads. */
async function masks(nodes: readonly BooleanNode[]): Promise<number[][]> {
  const emitted = nodes.map((node) => emitMaskWgsl(node));
  const words = emitted.map(({ layout }) => tableWords(layout));
  const starts = words.map((_, at) => words.slice(0, at).reduce((sum, { length }) => sum + length, 0));
  const pairs = rows * keys;
  const attributeStart = { query: { a: 0, b: rows }, key: { a: 2 * rows, b: 2 * rows + keys } };
  const code = `
@group(0) @binding(0) var<storage, read_write> result: array<u32>;
@group(0) @binding(1) var<storage, read> tables: array<u32>;
@group(0) @binding(2) var<storage, read> tokens: array<i32>;
${emitted
  .map((item, at) => {
    const slots = item.layout.attributes.map(({ of, name }) => `${attributeStart[of][name as "a" | "b"]}i`);
    return `${renamed(item, at)}
fn readTable_${at}(entry: i32) -> bool { return ((tables[${starts[at]}i + (entry >> 5u)] >> u32(entry & 31i)) & 1u) == 1u; }
fn readAttribute_${at}(slot: u32, position: i32) -> i32 {
  var starts = array<i32, ${Math.max(1, slots.length)}>(${slots.join(", ") || "0i"});
  return tokens[starts[slot] + position];
}`;
  })
  .join("\n")}
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let pair = i32(id.x);
  if (pair >= ${pairs}i) { return; }
  let row = pair / ${keys}i;
  let key = pair % ${keys}i;
  let head = (row + key) % ${heads}i;
  _ = tables[0];
  _ = tokens[0];
${emitted
  .map(
    (_, at) =>
      `  result[${at * pairs}i + pair] = select(0u, 1u, allows_${at}(row + ${queryOffset}i, key, row, head, ${rows + queryOffset}i, ${keys}i));`,
  )
  .join("\n")}
}`;
  const tables = Uint32Array.from(words.flatMap((part) => [...part]));
  const all = [tokens.query.a, tokens.query.b, tokens.key.a, tokens.key.b];
  const bytes = await compute(
    code,
    [tables, Int32Array.from(all.flatMap((part) => [...part]))],
    nodes.length * pairs,
    pairs,
  );
  return nodes.map((_, at) => [...new Uint32Array(bytes, at * pairs * 4, pairs)]);
}

describe("emitModifierWgsl", () => {
  it("agrees with applyModifier on 60 random modifiers and their derivatives", async () => {
    for (let first = 0; first < 60; first += together) {
      const nodes = Array.from({ length: together }, (_, at) =>
        randomModifier({ seed: 16, index: first + at }),
      );
      const pairs = rows * keys;
      const scores = Float32Array.from({ length: pairs }, (_, at) => stream.uniform(1000 + at) * 12 - 6);
      const lookups = {
        bias: {
          values: Float32Array.from({ length: rows * 20 }, (_, at) => stream.uniform(3000 + at) - 0.5),
          length: 20,
          rowStride: 20,
        },
        slope: { values: new Float32Array([0.25, -0.5]), length: 2 },
      };
      const emitted = nodes.map((node) => emitModifierWgsl(node));
      // Boolean tables in the conditions of `select`.
      const words = emitted.map(({ layout }) => tableWords(layout));
      const starts = words.map((_, at) => words.slice(0, at).reduce((sum, { length }) => sum + length, 0));
      const code = `
@group(0) @binding(0) var<storage, read_write> result: array<f32>;
@group(0) @binding(1) var<storage, read> scores: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read> slope: array<f32>;
@group(0) @binding(4) var<storage, read> tables: array<u32>;
${emitted
  .map(
    (item, at) => `${renamed(item, at)}
fn readTable_${at}(entry: i32) -> bool { return ((tables[${starts[at]}i + (entry >> 5u)] >> u32(entry & 31i)) & 1u) == 1u; }
fn readLookup_${at}(slot: u32, row: i32, index: i32) -> f32 {
  var isBias = array<bool, ${Math.max(1, item.layout.lookups.length)}>(${item.layout.lookups.map((name) => name === "bias").join(", ") || "false"});
  if (isBias[slot]) { return select(0f, bias[row * 20i + clamp(index, 0i, 19i)], index >= 0i && index < 20i); }
  return select(0f, slope[clamp(index, 0i, 1i)], index >= 0i && index < 2i);
}`,
  )
  .join("\n")}
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let pair = i32(id.x);
  if (pair >= ${pairs}i) { return; }
  let row = pair / ${keys}i;
  _ = bias[0];
  _ = slope[0];
  _ = tables[0];
${emitted
  .map((_, at) =>
    ["modify", "modifyScoreDerivative"]
      .map(
        (name, which) =>
          `  result[${(2 * at + which) * pairs}i + pair] = ${name}_${at}(scores[pair], row + ${queryOffset}i, pair % ${keys}i, row, 1i, ${rows + queryOffset}i, ${keys}i);`,
      )
      .join("\n"),
  )
  .join("\n")}
}`;
      const tables = Uint32Array.from(words.flatMap((part) => [...part]));
      const bytes = await compute(
        code,
        [scores, lookups.bias.values, lookups.slope.values, tables],
        2 * together * pairs,
        pairs,
      );
      const tile = {
        queries: { start: queryOffset, step: 1, count: rows },
        keys: { start: 0, step: 1, count: keys },
        head: 1,
        queryLength: rows + queryOffset,
        keyLength: keys,
        queryOffset,
        lookups,
      };
      for (const [at, node] of nodes.entries())
        for (const [which, tree] of [node, scoreDerivative(node)].entries()) {
          const found = new Float32Array(bytes, (2 * at + which) * pairs * 4, pairs);
          const truth = applyModifier(tree, scores, tile);
          const worst = truth.reduce(
            (most, value, pair) =>
              Math.max(most, Math.abs(value - found[pair]!) / Math.max(1, Math.abs(value))),
            0,
          );
          expect(worst, `modifier ${first + at} ${which}`).toBeLessThan(1e-4);
        }
    }
  });
});
