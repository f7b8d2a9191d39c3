import { StudioError } from '#contracts/errors.ts'

/** Numbers of CUDA's errors after which nothing more can be done in the process: the context is lost, or the device with it. */
const lost = new Set([4, 46, 101, 214, 220, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721, 999])
const outOfMemory = new Set([2])

const wordsOfMemory = /Failed to allocate|bad_alloc|out of memory|CUDA_ERROR_OUT_OF_MEMORY|CUBLAS_STATUS_ALLOC_FAILED|has no \d+ MiB left/i
const wordsOfLoss =
  /CUDA_ERROR_(ILLEGAL_ADDRESS|LAUNCH_FAILED|LAUNCH_TIMEOUT|ECC_UNCORRECTABLE|DEVICES_UNAVAILABLE|CONTEXT_IS_DESTROYED|HARDWARE_STACK_ERROR|ILLEGAL_INSTRUCTION|MISALIGNED_ADDRESS|INVALID_PC|UNKNOWN|DEINITIALIZED|ASSERT)|CUBLAS_STATUS_(EXECUTION_FAILED|INTERNAL_ERROR)|illegal memory access|unspecified launch failure/i

/**
 * What an error of the native side says of the device. ONNX Runtime reports most failures under one code; the number that CUDA gave and the words
 * of the allocator, in its sentence, are the only sign of what happened. Null: neither.
 */
export function deviceFault(error: unknown): 'out-of-memory' | 'device-lost' | null {
  if (!(error instanceof Error)) return null
  if (error instanceof StudioError) return error.code === 'out-of-memory' || error.code === 'device-lost' ? error.code : null
  const code = 'code' in error ? error.code : null
  if (code === 'OutOfMemory') return 'out-of-memory'
  const number = Number(/CUDA (?:failure|error)[ :]+(\d+)/i.exec(error.message)?.[1] ?? NaN)
  if (outOfMemory.has(number) || wordsOfMemory.test(error.message)) return 'out-of-memory'
  return lost.has(number) || wordsOfLoss.test(error.message) ? 'device-lost' : null
}
