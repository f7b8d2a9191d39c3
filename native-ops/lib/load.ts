import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism, homedir } from 'node:os'
import { dirname, join } from 'node:path'
export type { Device } from './binding.ts'
import { abortable } from './abortable.ts'
import type { RawNative } from './abortable.ts'
import type { NativeBinding, NativeError, NativeErrorCode, NativeRuntime, RuntimeOptions } from './binding.ts'

const require = createRequire(import.meta.url)

/** Where the native files are on this machine. */
export interface NativeFiles {
  readonly addon: string
  readonly opsLibrary: string
  /** The native ops on NVIDIA GPUs; only where they were built. */
  readonly cudaOpsLibrary: string
  readonly ortLibrary: string
}

/** Thrown with the code `LoadError` when a native file is missing: the message says which and how to get it. */
export class NativeLoadError extends Error implements NativeError {
  override readonly name = 'NativeLoadError'
  readonly code: NativeErrorCode = 'LoadError'
}

/** Where `zigma gpu install` puts ONNX Runtime's CUDA provider: outside of node_modules, so that an update does not take it away. */
export function gpuFolder(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'zigma-studio', 'onnxruntime-1.29.0-cuda13')
}

/**
 * Where the addon, the native ops and ONNX Runtime are, or would be. In the folder named by ZIGMA_NATIVE (all three side by side)
 * if that is set, else in `build/native` and `node_modules` of the nearest folder above this file that has them.
 */
export function findNative(): NativeFiles {
  const ort = process.platform === 'darwin' ? 'libonnxruntime.1.29.0.dylib' : 'libonnxruntime.so.1'
  const ops = process.platform === 'darwin' ? 'libzigma_ops.dylib' : 'libzigma_ops.so'
  const cudaOps = 'libzigma_ops_cuda.so'
  const folder = process.env['ZIGMA_NATIVE']
  if (folder)
    return {
      addon: join(folder, 'zigma_addon.node'),
      opsLibrary: join(folder, ops),
      cudaOpsLibrary: join(folder, cudaOps),
      ortLibrary: join(folder, ort),
    }
  return {
    addon: inTree(join('build', 'native', 'zigma_addon.node')),
    opsLibrary: inTree(join('build', 'native', ops)),
    cudaOpsLibrary: inTree(join('build', 'native', cudaOps)),
    ortLibrary: providedOrt() ?? inTree(join('node_modules', 'onnxruntime-node', 'bin', 'napi-v6', process.platform, process.arch, ort)),
  }
}

/** ONNX Runtime beside its CUDA provider, where that was fetched: the library looks for providers in its own folder, and a process opens one. */
function providedOrt(): string | null {
  const folder = gpuFolder()
  const [ort, provider] = [join(folder, 'libonnxruntime.so.1'), join(folder, 'libonnxruntime_providers_cuda.so')]
  return existsSync('/proc/driver/nvidia/version') && existsSync(ort) && existsSync(provider) ? ort : null
}

/** Loads the addon into this process. Throws {@link NativeLoadError}. */
export function loadNative(addon: string = findNative().addon): NativeBinding {
  requireFile(addon)
  try {
    const raw = require(addon) as RawNative
    // A process joins its threads before it exits, so a run in progress would hold it up to the end.
    if (!process.listeners('exit').includes(raw.stopRuns)) process.on('exit', raw.stopRuns)
    return abortable(raw)
  } catch (cause) {
    const why = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause)
    throw new NativeLoadError(`The native addon cannot be loaded (${why}). Run \`node scripts/setup.mjs\` to build it again.`, { cause })
  }
}

/**
 * Opens the runtime with the files found on this machine; the device defaults to the CPU, `threads` to one per processor core available.
 * Throws {@link NativeLoadError}, or an error of the addon with the code `LoadError`.
 */
export function openRuntime(options: Partial<RuntimeOptions> = {}): NativeRuntime {
  const { addon, ortLibrary, opsLibrary, cudaOpsLibrary } = findNative()
  const device = options.device ?? 'cpu'
  const settings = {
    ortLibrary,
    opsLibrary: device === 'cuda' ? cudaOpsLibrary : opsLibrary,
    device,
    threads: availableParallelism(),
    ...options,
  }
  for (const library of [settings.ortLibrary, settings.opsLibrary]) if (library !== '') requireFile(library)
  return loadNative(addon).openRuntime(settings)
}

/** Whether an NVIDIA driver runs here and both libraries for it are there: the native ops and ONNX Runtime's provider beside its library. */
export function hasCuda(): boolean {
  const { cudaOpsLibrary, ortLibrary } = findNative()
  const provider = join(dirname(ortLibrary), 'libonnxruntime_providers_cuda.so')
  return existsSync('/proc/driver/nvidia/version') && existsSync(cudaOpsLibrary) && existsSync(provider)
}

function requireFile(path: string): void {
  if (!existsSync(path)) throw new NativeLoadError(`The native file ${path} is missing. Run \`node scripts/setup.mjs\` to build it.`)
}

/** `path` under the nearest folder at or above this file that has it; else where the repository would have it. */
function inTree(path: string): string {
  for (let folder = import.meta.dirname; folder !== dirname(folder); folder = dirname(folder)) {
    if (existsSync(join(folder, path))) return join(folder, path)
  }
  return join(import.meta.dirname, '..', '..', path)
}
