/** A model's golden as something to run: its checkpoint, its inputs, and how far a model's results are from it. */
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { saveCheckpoint } from "@heddle/checkpoints";
import { HeddleError, crossEntropy, differentiate, matmul, residual, reshape } from "@heddle/core";
import { loadModel } from "@heddle/models";
import type { LoadableFamily, Model, ModelInputs, ModelOutput } from "@heddle/models";
import { largestDifference, largestEntry } from "./difference.ts";
import type { Golden } from "./golden.ts";

/** A family whose models are compared, and what its goldens need to be told. */
export interface GoldenFamily {
  readonly family: LoadableFamily;
  /** The model finds its positions by itself; the golden's are not given to it. @default false */
  readonly ownPositions?: boolean;
  /** Padding before a row's first token is not compared: there a decoder's query sees no key. @default false */
  readonly skipLeadingPadding?: boolean;
  /** Names, in the tree's form, of the heads that full-size goldens have: their weights are in no file. @default none */
  readonly heads?: readonly string[];
}

/** How far one output may be, and how far it was. */
export interface OutputDifference {
  /** `hidden_states.1`, `logits`, `pooled`, `seq_relationship_logits`, `cross_entropy` or `loss`. */
  readonly output: string;
  /** Greatest absolute difference. */
  readonly difference: number;
}

/** A model against its golden. */
export interface GoldenDifferences {
  readonly outputs: readonly OutputDifference[];
  /** Greatest difference of a gradient, as a share of the golden's largest entry; absent where it has none. */
  readonly gradients?: number;
}

/** The golden's weights as a checkpoint under their Hugging Face names, as files in a map. */
export async function goldenCheckpoint(golden: Golden): Promise<Map<string, Blob>> {
  const files = new Map<string, Blob>();
  const prefix = "weights/";
  await saveCheckpoint(files, {
    config: golden.info["config"] as Record<string, unknown>,
    tensors: golden.names
      .filter((name) => name.startsWith(prefix))
      .map((name) => {
        const { dtype, shape, values } = golden.tensor(name);
        return { name: name.slice(prefix.length), dtype, shape, values };
      }),
  });
  return files;
}

/** The golden's model, loaded as any checkpoint is. Dispose it. */
export async function goldenModel(golden: Golden, { family }: GoldenFamily): Promise<Model> {
  const { model } = await loadModel(await goldenCheckpoint(golden), { families: [family] });
  return model;
}

/** Rows of a golden's integers [B, L]; undefined where the golden has none. */
function rows(golden: Golden, name: string): number[][] | undefined {
  if (!golden.names.includes(name)) return undefined;
  const [batch, length] = golden.tensor(name).shape as [number, number];
  const values = [...golden.integers(name)];
  return Array.from({ length: batch }, (_, row) => values.slice(row * length, (row + 1) * length));
}

/** What the golden's model was given. */
export function goldenInputs(golden: Golden, { ownPositions = false }: GoldenFamily): ModelInputs {
  const given = {
    attentionMask: rows(golden, "inputs/attention_mask"),
    tokenTypes: rows(golden, "inputs/token_type_ids"),
    positionIds: ownPositions ? undefined : rows(golden, "inputs/position_ids"),
    globalAttentionMask: rows(golden, "inputs/global_attention_mask"),
  };
  const present = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return { ids: rows(golden, "inputs/input_ids")!, ...present };
}

/** The name that a parameter of the tree has in checkpoints. */
export function checkpointNameOf(name: string, { family }: GoldenFamily): string {
  const { prefix, unprefixed } = family.quirks;
  return unprefixed.some((head) => name.startsWith(head)) ? name : prefix + name;
}

/** The golden's loss: cross-entropy, and where there is a pooler its output weighed; a scalar. */
function goldenLoss(golden: Golden, { logits, pooled }: ModelOutput): Tensor {
  const entropy = crossEntropy({ logits: logits!, labels: golden.integers("inputs/labels") });
  if (!pooled || !golden.names.includes("inputs/pooled_cotangent")) return entropy;
  const cotangent = golden.floats("inputs/pooled_cotangent");
  const weighed = matmul({
    a: reshape(pooled, [1, pooled.size]),
    b: tf.tensor2d(cotangent, [pooled.size, 1]),
  });
  return residual(entropy, reshape(weighed, []));
}

/** Flat places [B L] that are compared. */
function comparedTokens(golden: Golden, { skipLeadingPadding = false }: GoldenFamily): boolean[] {
  const mask = rows(golden, "inputs/attention_mask");
  if (!mask || !skipLeadingPadding)
    return Array.from({ length: golden.tensor("inputs/input_ids").values.length }, () => true);
  return mask.flatMap((row) => row.map((_, token) => token >= row.indexOf(1)));
}

/** The greatest difference over the tokens that are compared, of values [B, L, width]. */
function tokenDifference(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tokens: readonly boolean[],
): number {
  const width = expected.length / tokens.length;
  const compared = (values: ArrayLike<number>): number[] =>
    Array.from(values).filter((_, at) => tokens[Math.floor(at / width)]!);
  return actual.length === expected.length
    ? largestDifference(compared(actual), compared(expected))
    : Infinity;
}

/** Runs the model forward and compares every output that the golden has. */
export async function outputDifferences(
  golden: Golden,
  model: Model,
  settings: GoldenFamily,
): Promise<readonly OutputDifference[]> {
  const out = model.forward(goldenInputs(golden, settings), { hiddenStates: true });
  const loss = tf.tidy(() => goldenLoss(golden, out));
  const entropy = crossEntropy({ logits: out.logits!, labels: golden.integers("inputs/labels") });
  const perToken = new Map<string, Tensor>([
    ...out.hiddenStates!.map((state, i) => [`hidden_states.${i}`, state] as const),
    ["logits", out.logits!],
  ]);
  const others = new Map<string, Tensor>([
    ["cross_entropy", entropy],
    ["loss", loss],
    ...(out.pooled ? [["pooled", out.pooled] as const] : []),
    ...(out.nextSentenceLogits ? [["seq_relationship_logits", out.nextSentenceLogits] as const] : []),
  ]);
  const known = [...perToken.keys(), ...others.keys()].toSorted();
  const wanted = golden.names
    .filter((name) => name.startsWith("outputs/"))
    .map((name) => name.slice("outputs/".length))
    .toSorted();
  if (known.join() !== wanted.join())
    throw new HeddleError(
      "invalid-data",
      `golden: outputs must be those of the model, ${known.join(", ")}, got ${wanted.join(", ")}`,
    );
  const tokens = comparedTokens(golden, settings);
  const found: OutputDifference[] = [];
  for (const [output, tensor] of perToken)
    found.push({
      output,
      difference: tokenDifference(await tensor.data(), golden.floats(`outputs/${output}`), tokens),
    });
  for (const [output, tensor] of others)
    found.push({
      output,
      difference: largestDifference(await tensor.data(), golden.floats(`outputs/${output}`)),
    });
  tf.dispose([loss, entropy]);
  out.dispose();
  return found;
}

/**
 * Gradients of the golden's loss by every parameter of the model, against the golden's: the greatest difference as a
 * share of the golden's largest entry. Undefined where the golden has no gradients.
 * @throws HeddleError when a parameter has a gradient here and none there.
 */
export async function gradientDifference(
  golden: Golden,
  model: Model,
  settings: GoldenFamily,
): Promise<number | undefined> {
  const expected = golden.names.filter((name) => name.startsWith("gradients/"));
  if (expected.length === 0) return undefined;
  const { value, gradients } = differentiate(
    () => tf.tidy(() => goldenLoss(golden, model.forward(goldenInputs(golden, settings)))),
    model.parameters,
  );
  const names = model.parameters.map(({ name }) => `gradients/${checkpointNameOf(name, settings)}`);
  let difference = 0;
  let largest = 0;
  for (const name of expected) {
    const gradient = gradients[names.indexOf(name)];
    const values = golden.floats(name);
    largest = Math.max(largest, largestEntry(values));
    // What the loss does not depend on has no gradient here, and zeros in PyTorch where a part went unused.
    const found = gradient ? await gradient.data() : new Float32Array(values.length);
    difference = Math.max(difference, largestDifference(found, values));
  }
  const strayed = names.filter((name, i) => gradients[i] && !expected.includes(name));
  tf.dispose([value, ...gradients.filter((gradient) => gradient !== null)]);
  if (strayed.length > 0)
    throw new HeddleError(
      "invalid-data",
      `golden: gradients must be there for all that the model gives, got none for ${strayed.join(", ")}`,
    );
  return difference / largest;
}
