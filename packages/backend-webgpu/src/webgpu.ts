import type { AnyKernel, BackendStarter, StartedBackend } from "@heddle/core";
import { breathe, checkFields, checkKernels, checkOneOf, HeddleError, reject } from "@heddle/core";
import { calibrate } from "./calibrate.ts";
import { findGpu } from "./dawn.ts";
import { describeDevice, requestDevice } from "./device.ts";
import { watchDevice } from "./device-errors.ts";
import type { DeviceErrors } from "./device-errors.ts";
import type { Engine } from "./engine.ts";
import { createEngine } from "./tfjs-engine.ts";
import type { WebGpuDevice } from "./gpu.ts";
import { activationWebGpu } from "./activation.ts";
import { adamwWebGpu } from "./adamw.ts";
import { attentionWebGpu } from "./attention.ts";
import { attentionMapsWebGpu } from "./attention-maps.ts";
import { cacheWriteWebGpu } from "./cache-write.ts";
import { chooseTokenWebGpu } from "./choose-token.ts";
import { concatWebGpu } from "./concat.ts";
import { crossEntropyWebGpu } from "./cross-entropy.ts";
import { dropoutWebGpu } from "./dropout.ts";
import { embeddingWebGpu } from "./embedding.ts";
import { mergeHeadsWebGpu, splitHeadsWebGpu } from "./heads.ts";
import { linearWebGpu } from "./linear.ts";
import { matmulWebGpu } from "./matmul.ts";
import { halves, plain } from "./matrix-forms.ts";
import { dropAllInPlace } from "./heads-in-place.ts";
import { layerNormWebGpu, rmsNormWebGpu } from "./norms.ts";
import { residualWebGpu } from "./residual.ts";
import { rotaryWebGpu } from "./rotary.ts";
import { sliceWebGpu, transposeWebGpu } from "./shape.ts";

/** What `webgpu` takes. */
export interface WebGpuOptions {
  /** Kernels for the operations, tried before those of this package and the reference, in this order. @default [] */
  readonly kernels?: readonly AnyKernel[];
  /** Which card, where there are two. @default "high-performance" */
  readonly powerPreference?: "high-performance" | "low-power";
  /**
   * A device made elsewhere, to share its buffers; it is not destroyed with the backend, and once it is lost, another
   * has to be given to another backend. @default one of our own
   */
  readonly device?: WebGpuDevice;
  /**
   * `true` takes a software adapter only, `false` none. Node on Linux has one if a software Vulkan driver is installed.
   * @default a graphics card if there is one, else software
   */
  readonly software?: boolean;
}

/** One for each operation that has its own. */
const own: readonly AnyKernel[] = [
  activationWebGpu,
  adamwWebGpu,
  attentionMapsWebGpu,
  attentionWebGpu,
  cacheWriteWebGpu,
  chooseTokenWebGpu,
  concatWebGpu,
  crossEntropyWebGpu,
  dropoutWebGpu,
  embeddingWebGpu,
  layerNormWebGpu,
  linearWebGpu,
  matmulWebGpu,
  mergeHeadsWebGpu,
  residualWebGpu,
  rmsNormWebGpu,
  rotaryWebGpu,
  sliceWebGpu,
  splitHeadsWebGpu,
  transposeWebGpu,
];

async function start(options: WebGpuOptions): Promise<StartedBackend> {
  const { kernels = [], powerPreference = "high-performance", software } = options;
  const { gpu, release } = await findGpu();
  let device: WebGpuDevice | undefined;
  let errors: DeviceErrors | undefined;
  const stop = (): void => {
    dropAllInPlace();
    errors?.stop();
    if (!options.device) device?.destroy();
    release();
  };
  try {
    const made = options.device
      ? { device: options.device, info: options.device.adapterInfo }
      : await requestDevice(gpu, { powerPreference, software });
    ({ device } = made);
    const { queue } = device;
    const watch = (errors = watchDevice(device));
    if (options.device) {
      // What was lost before says so in a moment.
      await breathe();
      if (watch.lost)
        throw new HeddleError("invalid-state", "webgpu: device must be one that is not lost, got a lost one");
    }
    const engine = await createEngine(device, made.info, watch);
    // In software no tile is much faster than another, and measuring takes seconds; so it may be where nobody says.
    if (made.info?.isFallbackAdapter === false)
      await watch.unlessLost(calibrate(engine as unknown as Engine));
    return {
      engine,
      kernels: [...kernels, ...own],
      packing: plain,
      halves,
      description: describeDevice(device, made.info),
      checkErrors: () => watch.take(),
      get lost() {
        return watch.lost;
      },
      async finish() {
        engine.endComputePassEncoder();
        engine.ensureCommandEncoderReady();
        engine.submitQueue();
        await watch.unlessLost(queue.onSubmittedWorkDone());
      },
      stop,
    };
  } catch (error) {
    stop();
    throw error;
  }
}

/**
 * WebGPU in a page, a worker or Node (there with the optional package `webgpu`).
 * @throws HeddleError `invalid-argument` for options of the wrong type.
 */
export function webgpu(options: WebGpuOptions = {}): BackendStarter {
  checkFields("webgpu: options", options, ["kernels", "powerPreference", "device", "software"]);
  const { kernels = [], powerPreference, device, software } = options;
  checkKernels("webgpu: kernels", kernels);
  if (powerPreference !== undefined)
    checkOneOf("webgpu: powerPreference", powerPreference, ["high-performance", "low-power"]);
  if (software !== undefined) checkOneOf("webgpu: software", software, [true, false]);
  if (device !== undefined && (powerPreference !== undefined || software !== undefined))
    reject(
      "webgpu: options",
      "have no powerPreference and no software beside device, which is chosen already",
      {
        powerPreference,
        software,
      },
    );
  if (device !== undefined && typeof device?.queue?.onSubmittedWorkDone !== "function")
    reject("webgpu: device", "be a GPUDevice", device);
  return { name: "webgpu", start: () => start(options) };
}
