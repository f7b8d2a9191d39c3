/** What the native addon offers. Every method checks its arguments and throws an Error with a {@link NativeErrorCode} in `code`. */

export type DType = 'f32' | 'f64' | 'f16' | 'bf16' | 'i32' | 'i64' | 'u8' | 'bool'

export type Device = 'cpu' | 'cuda'

export type NativeErrorCode =
  | 'ArgumentError' // an argument of the wrong type, range or name
  | 'ShapeError' // shape, type or size of a tensor does not fit
  | 'DeviceError' // no such device
  | 'OutOfMemory'
  | 'ModelError' // the bytes are not a model this build can run
  | 'RunError' // ONNX Runtime or an op failed while running
  | 'LoadError' // a library is missing or too old
  | 'Aborted' // a run was cancelled
  | 'Busy' // touched while a run is in progress
  | 'Disposed' // used after dispose()

export interface NativeError extends Error {
  readonly code: NativeErrorCode
}

const nativeErrorCodes: Record<NativeErrorCode, true> = {
  ArgumentError: true,
  ShapeError: true,
  DeviceError: true,
  OutOfMemory: true,
  ModelError: true,
  RunError: true,
  LoadError: true,
  Aborted: true,
  Busy: true,
  Disposed: true,
}

/** Whether `error` came from the native side (with that code, where one is given). */
export function isNativeError(error: unknown, code?: NativeErrorCode): error is NativeError {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return false
  return code ? error.code === code : Object.hasOwn(nativeErrorCodes, error.code)
}

export interface RuntimeOptions {
  /** Path of libonnxruntime, 1.29 or newer. One per process: a second path is refused. */
  readonly ortLibrary: string
  /** Path of the device's library of native ops; '' opens a runtime with standard ONNX ops only. */
  readonly opsLibrary: string
  /** Where arenas lie and sessions run. */
  readonly device: Device
  /** Threads that compute in a run, the calling one included; at least 1. Each session has its own pool. */
  readonly threads: number
}

/** How a session is compiled. */
export interface SessionOptions {
  /** Graph optimization; default 'all'. */
  readonly optimization?: 'all' | 'basic' | 'none'
  /** Default: the runtime's. */
  readonly threads?: number
  /** Plan memory once for fixed shapes; default true. */
  readonly memoryPattern?: boolean
  /** Path prefix of a trace in Chrome's format, which `endProfiling` completes; default none. */
  readonly profile?: string
  /**
   * For a session that is run over and over: all runs on one thread; and on CUDA, record one as a graph once memory has settled, the last of
   * `runsUntilRecorded`, and replay it from then on; default false. That run is made twice: what is updated in place is updated twice. Bindings must not change afterwards.
   */
  readonly cudaGraph?: boolean
  /** On CUDA: multiply float32 matrices with 10 bits of mantissa; default false. */
  readonly tensorFloat?: boolean
  /** On CUDA: nodes that the GPU has no kernel for run on the CPU; default false, which refuses such a model. */
  readonly cpuFallback?: boolean
  /** Whether ops of the domain `zigma` are known; default: whether the runtime has the library. */
  readonly customOps?: boolean
}

/** An input or output of a model. A size that is not fixed is its symbolic name, '' where it has none. */
export interface ValueInfo {
  readonly name: string
  readonly dtype: DType
  readonly shape: readonly (number | string)[]
}

export interface GpuDescription {
  readonly name: string
  /** The CUDA version that the driver speaks, as "13.0". */
  readonly driver: string
  readonly freeBytes: number
  readonly totalBytes: number
  /** Ten times the compute capability: 75, 80, 90. */
  readonly computeCapability: number
}

export interface NativeRuntime {
  readonly ortVersion: string
  /** The widest vector instructions of this processor that the kernels know. */
  readonly instructionSet: 'avx512' | 'avx2' | 'baseline'
  readonly threads: number
  readonly device: Device
  /** What the driver says of the GPU now; null on the CPU. */
  describeGpu(): GpuDescription | null
  /** A block of `sizeBytes` >= 1 zeroed bytes on the device, aligned to 64. Throws OutOfMemory. */
  createArena(sizeBytes: number): Arena
  /** Compiles an ONNX model off the JavaScript thread. Rejects with ModelError or OutOfMemory. */
  createSession(model: Uint8Array, options?: SessionOptions): Promise<Session>
}

/** A block of memory that tensors are views of. Tensors keep the block alive after the arena is disposed. */
export interface Arena extends Disposable {
  readonly sizeBytes: number
  /** A view of the bytes from `offsetBytes`, a multiple of the element size (64 is fastest). Views may overlap. */
  tensor(offsetBytes: number, dtype: DType, shape: readonly number[]): DeviceTensor
  /** Copies bytes in. Does not wait for runs: do not touch bytes that a run in progress is using. */
  write(offsetBytes: number, bytes: ArrayBufferView): void
  /** A copy of the bytes. During a run it may show some values from before and some from after. */
  read(offsetBytes: number, sizeBytes: number): Uint8Array<ArrayBuffer>
  /** Twice is harmless. */
  dispose(): void
}

/** A tensor that ONNX Runtime reads and writes in place. Throws Busy while a run uses it. */
export interface DeviceTensor extends Disposable {
  readonly dtype: DType
  /** Sizes, outermost first; [] is a scalar. */
  readonly shape: readonly number[]
  /** Copies all elements in, in row-major order; the byte length must be the tensor's. */
  write(bytes: ArrayBufferView): void
  /** A copy of all elements, in its own ArrayBuffer: `new Float32Array(tensor.read().buffer)`. */
  read(): Uint8Array<ArrayBuffer>
  /** Twice is harmless; bindings keep the memory alive. */
  dispose(): void
}

/** Memory of a session, bytes. */
export interface SessionMemory {
  /** The most that was in use at once since the session was made. */
  readonly peakBytes: number
  readonly inUseBytes: number
  /** What the allocator has taken from the device, in use or not. */
  readonly reservedBytes: number
}

/** A compiled model. Several bindings of one session may run at the same time. */
export interface Session extends Disposable {
  readonly inputs: readonly ValueInfo[]
  readonly outputs: readonly ValueInfo[]
  createBinding(): Binding
  /** What the session's allocator on the device holds for what it computes between inputs and outputs. */
  memory(): SessionMemory
  /** Completes the trace and returns its path. Throws ArgumentError when the session has no profile. */
  endProfiling(): string
  /** Twice is harmless; bindings keep the compiled model alive. */
  dispose(): void
}

/** Runs of a session with `cudaGraph` on CUDA up to and with the one that is recorded. */
export const runsUntilRecorded = 4

/** Tensors tied to inputs and outputs. One tensor may be both: it is then updated in place. */
export interface Binding extends Disposable {
  /** Throws ArgumentError for an unknown name, ShapeError when type or shape do not fit, Busy during a run. */
  bindInput(name: string, tensor: DeviceTensor): void
  bindOutput(name: string, tensor: DeviceTensor): void
  /**
   * Runs the model off the JavaScript thread; outputs without a tensor are dropped. One run at a time (Busy).
   * Aborting stops before the next op and rejects with the signal's reason; what was written until then stays written.
   */
  run(signal?: AbortSignal): Promise<void>
  /** Twice is harmless; a run in progress ends undisturbed. */
  dispose(): void
}

export interface NativeBinding {
  openRuntime(options: RuntimeOptions): NativeRuntime
}
