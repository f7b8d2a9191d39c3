import { expect, test } from 'vitest'
import { StudioError } from '#contracts/errors.ts'
import { deviceFault } from '#engine/runtime/device-fault.ts'

const native = (message: string, code = 'RunError') => Object.assign(new Error(message), { code })

test.each([
  [
    'Non-zero status code returned while running Gemm node. BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 4294967296',
  ],
  ['CUDA failure 2: out of memory ; GPU=0 ; hostname=box ; file=cuda_allocator.cc'],
  ['SelectiveScanGrad: the GPU has no 512 MiB left.'],
  ['CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0'],
])('"%s" is want of memory', (message) => expect(deviceFault(native(message))).toBe('out-of-memory'))

test.each([
  ['CUDA failure 700: an illegal memory access was encountered ; GPU=0'],
  ['ScanConv: the GPU refused the work (CUDA failure 719: unspecified launch failure).'],
  ['CUDA error 46: CUDA-capable device(s) is/are busy or unavailable'],
  ['CUDA failure 999: unknown error'],
  ['The NVIDIA driver could not copy from the GPU (CUDA_ERROR_ILLEGAL_ADDRESS).'],
  ['CUBLAS failure 13: CUBLAS_STATUS_EXECUTION_FAILED'],
])('"%s" is a lost device', (message) => expect(deviceFault(native(message))).toBe('device-lost'))

test.each([['indices element out of data bounds, idx=9'], ['CUDA failure 98: invalid device function'], ['a recipe of 700 steps']])(
  '"%s" is neither',
  (message) => expect(deviceFault(native(message))).toBeNull(),
)

test('what the native side or the studio has named already keeps its name', () => {
  expect(deviceFault(native('any words', 'OutOfMemory'))).toBe('out-of-memory')
  expect(deviceFault(new StudioError('device-lost', 'any words'))).toBe('device-lost')
  expect(deviceFault(new StudioError('not-finite', 'CUDA failure 700'))).toBeNull()
})
