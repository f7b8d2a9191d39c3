import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { openRuntime } from '#native-ops/load.ts'

const folder = join(import.meta.dirname, '../../build/native')

/** Why there is no emulated GPU here; null where there may be one. */
export const noEmulatedGpu = process.platform === 'linux' ? null : 'the emulated GPU is built on Linux alone'

/** Compiles the CUDA kernels for the emulated GPU, which takes a minute the first time. */
export async function buildEmulatedGpu(): Promise<void> {
  await promisify(execFile)('cmake', ['--build', folder, '--target', 'zigma_ops_emulated', '--parallel', '2'])
}

/** The CUDA kernels on a GPU that this processor plays, with so many multiprocessors and this compute capability (native-ops/src/emulated). */
export function openEmulatedGpu({ processors, capability }: { processors: number; capability: number }) {
  process.env['ZIGMA_EMULATED_PROCESSORS'] = String(processors)
  process.env['ZIGMA_EMULATED_CAPABILITY'] = String(capability)
  return openRuntime({ opsLibrary: join(folder, 'libzigma_ops_emulated.so') })
}
