export { fromBlob, fromBytes, fromFile, type ByteSource } from "./byte-source.ts";
export { toBlob, toFile, type ByteSink } from "./byte-sink.ts";
export { type CheckpointFiles, type CheckpointLocation } from "./checkpoint-files.ts";
export { narrow, type Dtype, type StoredValues } from "./dtypes.ts";
export {
  findCheckpoint,
  openCheckpoint,
  type Checkpoint,
  type FindCheckpointOptions,
} from "./open-checkpoint.ts";
export {
  openSafetensors,
  type FloatTensor,
  type ReadOptions,
  type ReadTensor,
  type SafetensorsFile,
  type StoredTensor,
} from "./read-safetensors.ts";
export { type TensorInfo } from "./safetensors-header.ts";
export {
  checkSaveLocation,
  saveCheckpoint,
  type SaveCheckpointOptions,
  type SaveLocation,
  type TensorsFile,
} from "./save-checkpoint.ts";
export { parseJsonObject } from "./strict-json.ts";
export { fromUrl, type UrlOptions } from "./url-source.ts";
export { writeSafetensors, type TensorEntry, type TensorValues } from "./write-safetensors.ts";
