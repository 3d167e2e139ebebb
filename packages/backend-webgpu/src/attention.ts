import { attentionOperation } from "@heddle/attention";
import type { AttentionCall } from "@heddle/attention";
import { kernel } from "@heddle/core";
import type { Kernel } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { TILE } from "./attention-masks.ts";
import { modifierCode } from "./attention-modifiers.ts";
import { boundPlaceOf, canBindHeads, headShares } from "./attention-shares.ts";
import { FEW } from "./attention-plan.ts";
import { attendFew } from "./attention-row.ts";
import { taskOf, valuesOf, whyNoTask } from "./attention-task.ts";
import type { Task } from "./attention-task.ts";
import type { Pass, PassVariant } from "./attention-tile-wgsl.ts";
import { passProgram } from "./attention-tiles.ts";
import { loadWgsl } from "./attention-wgsl.ts";
import { sideBySide } from "./heads.ts";
import { filled } from "./fill.ts";
import { areVectors, placeApart, placeUniforms } from "./heads-in-place.ts";
import type { Place } from "./heads-in-place.ts";
import { EACH, eachGroups, eachIndex, program } from "./program.ts";
import { output, run } from "./run.ts";
import { dropoutValues } from "./random.ts";
import { sumAlong } from "./sums.ts";

/** What the forward pass leaves for the next part of a head, and for the backward pass. */
interface Results {
  readonly result: Tensor;
  readonly stats?: Tensor | undefined;
  readonly dy?: Tensor | undefined;
  readonly rows?: Tensor | undefined;
  readonly table?: PassVariant["table"];
}

const isByKeys = (pass: Pass): boolean => pass === "dk" || pass === "dv";

/** The heads that the runs of a pass are over, one after the other: first of each group, and how many from there. */
function turnsOf(
  pass: Pass,
  { call: { q, k }, plan }: Task,
  ofQueries: readonly Place[],
): { first: number; members: number }[] {
  if (!isByKeys(pass)) return [{ first: 0, members: 1 }];
  const groupSize = q.shape[1]! / k.shape[1]!;
  // Heads that share their keys have the same ranges of them only if they are alike.
  if (plan.strides[1] === 0 && ofQueries.every((place) => canBindHeads(place, groupSize)))
    return [{ first: 0, members: groupSize }];
  return Array.from({ length: groupSize }, (_, first) => ({ first, members: 1 }));
}

/** Runs a pass, over one part of the heads after the other. `resumes`: the result holds something to add to. */
function runPass(pass: Pass, task: Task, { result, stats, dy, rows, table }: Results, resumes = false): void {
  const { call, plan } = task;
  const { dropout } = call;
  const [batch, heads] = call.q.shape as [number, number];
  const keyHeads = call.k.shape[1]!;
  const drops = dropout !== undefined && dropout.rate > 0;
  const { modifiers, places, lookedUp, buffers, uniforms, ...values } = valuesOf(task);
  const [length, o] = [result.shape[3]!, boundPlaceOf(result)];
  const vectors = values.vectors && (pass === "dtable" || areVectors(length, o));
  const variant = { vectors, dropout: drops, keepsStats: stats !== undefined, modifiers };
  const chunks = table ? 1 : Math.ceil(length / TILE);
  const of = passProgram({ ...variant, pass, chunks, ...(table && { table }) });
  const [ranges, groupHeads] = isByKeys(pass) ? [plan.ranges.keys, keyHeads] : [plan.ranges.queries, heads];
  const step = heads / groupHeads;
  let before = resumes;
  for (let part = 0; part < plan.parts; part++)
    for (const { first, members } of turnsOf(pass, task, dy ? [places.q, placeApart(dy)] : [places.q])) {
      const seen = headShares({ step, first, members, groupSize: heads / keyHeads });
      run(of, {
        buffers: { ...buffers, dy, rows, result: o.values, stats },
        uniforms: {
          ...uniforms,
          headStep: step,
          firstHead: first,
          members,
          part,
          resumes: before ? 1 : 0,
          length,
          ...placeUniforms("o", o),
          ...(drops && dropoutValues(dropout.rate, dropout.address)),
        },
        groups: [ranges, groupHeads, batch],
        shares: {
          q: seen.queries(places.q),
          k: seen.keys(places.k),
          v: seen.keys(places.v),
          result: (isByKeys(pass) ? seen.keys : seen.queries)(o),
          ...(stats && { stats: seen.queries(placeApart(stats)) }),
          ...(dy && { dy: seen.queries(placeApart(dy)) }),
          ...(rows && { rows: seen.queries(placeApart(rows)) }),
          ...(lookedUp && { values: seen.queries(lookedUp) }),
        },
      });
      before = true;
    }
}

/** For each query: the greatest score, 1 / the sum of exponentials, and the sum of dy times o. */
const rowsProgram = program({
  name: "attention.f32.rows",
  reads: { o: "f32", dy: "f32", stats: "vec2f" },
  writes: { rows: "vec4f" },
  uniforms: { count: "u32", width: "u32" },
  code: `${loadWgsl("o", false)}${loadWgsl("dy", false)}${eachIndex(
    "uniforms.count",
    `  // In fours and in order, as products are: a row that sees one key then has slopes of exactly 0.
  var sum = 0.0;
  for (var column = 0u; column < uniforms.width; column += 4) {
    let begin = i * uniforms.width;
    sum += dot(load_dy(begin, uniforms.width, column), load_o(begin, uniforms.width, column));
  }
  rows[i] = vec4f(stats[i], sum, 0.0);`,
  )}`,
});

function backwardRows(o: Tensor, stats: Tensor, dy: Tensor): Tensor {
  const [batch, heads, queries, width] = o.shape as [number, number, number, number];
  const rows = output([batch, heads, queries, 4]);
  const count = batch * heads * queries;
  run(rowsProgram, {
    buffers: { o, dy, stats, rows },
    uniforms: { count, width },
    groups: eachGroups(count),
    shares: { o: EACH * width, dy: EACH * width, stats: EACH * 2, rows: EACH * 4 },
  });
  return rows;
}

/** What a backward pass writes; zeros where it does not write all of it. */
function blank(shape: readonly number[], isZero: boolean): Tensor {
  return isZero ? filled(shape, 0) : output(shape);
}

/** Flash attention over the tiles in which the pattern allows a pair: https://arxiv.org/abs/2205.14135. */
export const attentionWebGpu: Kernel<AttentionCall> = kernel(attentionOperation, {
  name: `attention.f32.webgpu.tile${TILE}x${TILE}`,
  backend: "webgpu",
  unsupported: (call) => whyNoTask(call),
  forward(call, { differentiating }) {
    const [batch, heads, queries] = call.q.shape as [number, number, number];
    const shape = [batch, heads, queries, call.v.shape[3]!] as const;
    const noKeys = (call.keyLength ?? call.k.shape[2]) === 0;
    const result = noKeys ? blank(shape, true) : sideBySide(shape);
    // The backward pass makes the probabilities again, and they must be those of the forward pass.
    if (queries <= FEW && !differentiating) {
      attendFew(call, result);
      return { output: result };
    }
    const task = taskOf(call);
    const stats = differentiating || task.plan.parts > 1 ? output([batch, heads, queries, 2]) : undefined;
    runPass("o", task, { result, stats });
    return { output: result, ...(differentiating && { saved: [result, stats!] }) };
  },
  gradient({ call, saved, dy }) {
    const task = taskOf(call);
    const [o, stats] = saved as [Tensor, Tensor];
    const rows = backwardRows(o, stats, dy);
    const gradient = (pass: Pass, { shape }: Tensor): Tensor => {
      // Keys behind those that count have none.
      const isCut = task.shape.keyLength === 0 || (isByKeys(pass) && task.shape.keyLength < shape[2]!);
      const result = blank(shape, isCut);
      runPass(pass, task, { result, dy, rows }, isCut);
      return result;
    };
    /** Of what modifier n looks up: of each query and head, then the sum over those that share it. */
    const tableGradient = (n: number, name: string, { shape }: Tensor): Tensor => {
      const [batch, heads, queries] = call.q.shape as [number, number, number];
      const lookups = modifierCode(call.modifiers!).lookups[n]!.flatMap((table, at) =>
        table === name ? [at] : [],
      );
      const result = blank([batch, heads, queries, shape[3]!], true);
      if (lookups.length > 0) runPass("dtable", task, { result, dy, rows, table: { modifier: n, lookups } });
      const shared = [0, 1, 2].filter((axis) => shape[axis] === 1);
      return tf.reshape(sumAlong(result, shared), shape);
    };
    const tables = (call.modifiers ?? []).flatMap(({ tables: given = {} }, n) =>
      Object.entries(given as Record<string, Tensor>).map(
        ([name, table]) => [`modifiers[${n}].${name}`, () => tableGradient(n, name, table)] as const,
      ),
    );
    return {
      ...Object.fromEntries(tables),
      q: () => gradient("dq", call.q),
      k: () => gradient("dk", call.k),
      v: () => gradient("dv", call.v),
    };
  },
});
