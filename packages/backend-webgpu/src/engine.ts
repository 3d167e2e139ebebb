/** What our kernels use of tfjs's WebGPU backend: its buffers, and the one command encoder that all programs share. */
import * as tf from "@tensorflow/tfjs-core";
import type { DataType, TensorInfo } from "@tensorflow/tfjs-core";
import type { CommandEncoder, ComputeDevice, ComputePass, GpuBuffer } from "./gpu.ts";

/** A tensor's data: on the device once it was uploaded or computed there. */
export interface EngineData {
  readonly resource?: GpuBuffer;
  /** How many programs wrote to it. */
  writes?: number;
  /** As they were read; `null` when they have to be read again. */
  values: unknown;
}

/** tfjs declares some of these private. */
export interface Engine {
  readonly device: ComputeDevice;
  readonly tensorMap: { get(dataId: object): EngineData };
  readonly commandEncoder: CommandEncoder;
  computePassEncoder: ComputePass | null;
  dispatchCountInPass: number;
  makeTensorInfo(shape: readonly number[], dtype: DataType, values?: Float32Array): TensorInfo;
  /** Values that no tensor has, until they are disposed of. */
  write(values: Int32Array, shape: readonly number[], dtype: DataType): object;
  /** Frees what `makeTensorInfo` or `write` made, when no recorded command uses it any more. */
  disposeData(dataId: object): unknown;
  /** Gives a tensor a buffer, with its values if it has them. */
  uploadToGPU(dataId: object): void;
  /** A buffer of fields of 4 bytes, freed after the submit. */
  makeUniforms(fields: { type: string; data: number[] }[]): { readonly buffer: GpuBuffer };
  ensureCommandEncoderReady(): void;
  endComputePassEncoder(): void;
  submitQueue(): void;
}

let chosen: Engine | undefined;

/** That of the active backend, which has to be `webgpu`. */
export function engine(): Engine {
  return chosen ?? (tf.backend() as unknown as Engine);
}

/** Runs `f` with an engine, whatever backend is active. */
export function withEngine(own: Engine, f: () => void): void {
  const before = chosen;
  chosen = own;
  try {
    f();
  } finally {
    chosen = before;
  }
}

/** A tensor's data with a buffer on the device. */
export function onDevice({
  dataId,
}: Pick<TensorInfo, "dataId">): EngineData & { readonly resource: GpuBuffer } {
  const { tensorMap } = engine();
  const data = tensorMap.get(dataId);
  engine().uploadToGPU(dataId);
  return data as EngineData & { readonly resource: GpuBuffer };
}
