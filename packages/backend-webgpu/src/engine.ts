/** What our kernels use of tfjs's WebGPU backend: its buffers, and the one command encoder that all programs share. */
import * as tf from "@tensorflow/tfjs-core";
import type { DataType, TensorInfo } from "@tensorflow/tfjs-core";
import type { CommandEncoder, ComputeDevice, ComputePass, GpuBuffer } from "./gpu.ts";

/** A tensor's data: on the device once it was uploaded or computed there. */
interface EngineData {
  readonly resource?: GpuBuffer;
  /** As they were read; `null` when they have to be read again. */
  values: unknown;
}

/** tfjs declares some of these private. */
export interface Engine {
  readonly device: ComputeDevice;
  readonly tensorMap: { get(dataId: object): EngineData };
  /** Tensors of commands that are recorded and not submitted: their buffers are not reused before that. */
  readonly commandQueueOwnedIds: { add(dataId: object): unknown };
  readonly commandEncoder: CommandEncoder;
  computePassEncoder: ComputePass | null;
  dispatchCountInPass: number;
  makeTensorInfo(shape: readonly number[], dtype: DataType): TensorInfo;
  /** Values that no tensor has, until they are disposed of. */
  write(values: Int32Array, shape: readonly number[], dtype: DataType): object;
  disposeData(dataId: object): boolean;
  /** Gives a tensor a buffer, with its values if it has them. */
  uploadToGPU(dataId: object): void;
  /** A buffer of fields of 4 bytes, freed after the submit. */
  makeUniforms(fields: { type: string; data: number[] }[]): { readonly buffer: GpuBuffer };
  ensureCommandEncoderReady(): void;
  endComputePassEncoder(): void;
  submitQueue(): void;
}

/** That of the active backend, which has to be `webgpu`. */
export function engine(): Engine {
  return tf.backend() as unknown as Engine;
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
