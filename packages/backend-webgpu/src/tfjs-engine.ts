/** tfjs's backend over a device of ours. */
import { HeddleError } from "@heddle/core";
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import * as tf from "@tensorflow/tfjs-core";
import type { DeviceErrors } from "./device-errors.ts";
import { withEngine } from "./engine.ts";
import type { EngineData, Engine as OwnEngine } from "./engine.ts";
import type { WebGpuAdapterInfo, WebGpuDevice } from "./gpu.ts";
import { dropInPlace, isInPlace, takeApart } from "./heads-in-place.ts";
import { runTfjsInParts } from "./tfjs-in-parts.ts";

/** More than a token takes in a model of 12 layers: a submit costs as much as many programs. */
const PROGRAMS_OF_A_SUBMIT = 256;

/** Makes tfjs's backend over a device, reading of values by `await tensor.data()` only, and not while an error is unseen. */
export async function createEngine(
  device: WebGpuDevice,
  info: WebGpuAdapterInfo | undefined,
  errors: DeviceErrors,
): Promise<WebGPUBackend> {
  const { WebGPUBackend } = await import("@tensorflow/tfjs-backend-webgpu");
  runTfjsInParts();
  // tfjs would compute small tensors on the CPU, and so hide what the device does with them.
  tf.env().set("WEBGPU_CPU_FORWARD", false);
  tf.env().set("WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE", PROGRAMS_OF_A_SUBMIT);
  class Engine extends WebGPUBackend {
    override uploadToGPU(dataId: object): void {
      const fill = takeApart(dataId);
      super.uploadToGPU(dataId);
      // Another backend may be active.
      if (fill) withEngine(this as unknown as OwnEngine, fill);
    }
    override disposeData(dataId: object, force?: boolean): boolean {
      const isGone = super.disposeData(dataId, force);
      if (isGone) dropInPlace(dataId);
      return isGone;
    }
    override async read(dataId: object): ReturnType<InstanceType<typeof WebGPUBackend>["read"]> {
      if (isInPlace(dataId)) this.uploadToGPU(dataId);
      const data = this.tensorMap.get(dataId) as unknown as EngineData;
      const { writes } = data;
      const values = await errors.unlessLost(super.read(dataId));
      errors.check();
      // tfjs keeps what it read, which a program may have written over meanwhile.
      if (data.writes !== writes) data.values = null;
      return values;
    }
    override readToGPU(
      ...given: Parameters<WebGPUBackend["readToGPU"]>
    ): ReturnType<WebGPUBackend["readToGPU"]> {
      if (isInPlace(given[0])) this.uploadToGPU(given[0]);
      return super.readToGPU(...given);
    }
    override readSync(dataId: object): ReturnType<InstanceType<typeof WebGPUBackend>["readSync"]> {
      const { values, dtype } = this.tensorMap.get(dataId);
      if (!values && dtype !== "string")
        throw new HeddleError(
          "unsupported",
          "webgpu: values must be read by await tensor.data(), got dataSync()",
        );
      return super.readSync(dataId);
    }
  }
  type Given = ConstructorParameters<typeof WebGPUBackend>;
  return new Engine(device as Given[0], info as Given[1]);
}
