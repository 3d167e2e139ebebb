/**
 * The part of WebGPU that is used here, by structure: tfjs's and TypeScript's own declarations of it contradict each
 * other, and a user's `GPUDevice` of either kind fits.
 */

/** What an adapter says about itself; browsers leave most of it empty. */
export interface WebGpuAdapterInfo {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  readonly isFallbackAdapter?: boolean;
}

/** A device made elsewhere: any `GPUDevice`. */
export interface WebGpuDevice {
  readonly adapterInfo?: WebGpuAdapterInfo;
  readonly features: { has(feature: string): boolean };
  readonly lost: Promise<{ readonly reason: string; readonly message: string }>;
  readonly queue: { onSubmittedWorkDone(): Promise<unknown> };
  addEventListener(type: "uncapturederror", listener: (event: WebGpuErrorEvent) => void): void;
  removeEventListener(type: "uncapturederror", listener: (event: WebGpuErrorEvent) => void): void;
  destroy(): unknown;
}

/** An error that no error scope caught. */
export interface WebGpuErrorEvent extends Event {
  readonly error: { readonly message: string };
}

/** A graphics card, or software in its place. */
export interface Adapter {
  readonly info?: WebGpuAdapterInfo;
  readonly features: { has(feature: string): boolean };
  readonly limits: object;
  requestDevice(descriptor: {
    requiredFeatures: string[];
    requiredLimits: Record<string, number>;
  }): Promise<WebGpuDevice>;
}

/** `navigator.gpu`. */
export interface Gpu {
  requestAdapter(options: {
    powerPreference?: string;
    forceFallbackAdapter?: boolean;
  }): Promise<Adapter | null>;
}

/** Memory of a device. */
export interface GpuBuffer {
  readonly size: number;
  mapAsync(mode: number): Promise<unknown>;
  getMappedRange(): ArrayBuffer;
  unmap(): void;
  destroy(): void;
}

/** Places for a device's times. */
export interface QuerySet {
  destroy(): void;
}

/** A compiled program. */
export interface ComputePipeline {
  getBindGroupLayout(group: number): object;
}

/** Commands of programs. */
export interface ComputePass {
  setPipeline(pipeline: ComputePipeline): void;
  setBindGroup(group: number, bindGroup: object): void;
  dispatchWorkgroups(x: number, y: number, z: number): void;
}

/** Commands, before they are submitted. */
export interface CommandEncoder {
  beginComputePass(descriptor?: {
    timestampWrites: { querySet: QuerySet; beginningOfPassWriteIndex: number; endOfPassWriteIndex: number };
  }): ComputePass;
  resolveQuerySet(querySet: QuerySet, first: number, count: number, target: GpuBuffer, offset: number): void;
  copyBufferToBuffer(source: GpuBuffer, from: number, target: GpuBuffer, to: number, size: number): void;
}

/** A device, as far as programs are compiled and run on it. */
export interface ComputeDevice {
  readonly features: { has(feature: string): boolean };
  readonly limits: Readonly<Record<string, number>>;
  readonly queue: { onSubmittedWorkDone(): Promise<unknown> };
  pushErrorScope(filter: "validation" | "internal"): void;
  popErrorScope(): Promise<object | null>;
  createQuerySet(descriptor: { type: "timestamp"; count: number }): QuerySet;
  createBuffer(descriptor: { size: number; usage: number }): GpuBuffer;
  createShaderModule(descriptor: { label: string; code: string }): object;
  createComputePipeline(descriptor: {
    label: string;
    layout: "auto";
    compute: { module: object; entryPoint: string };
  }): ComputePipeline;
  createBindGroup(descriptor: {
    label: string;
    layout: object;
    entries: { binding: number; resource: { buffer: GpuBuffer; offset?: number; size?: number } }[];
  }): object;
}
