import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { availableParallelism, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { checkKernels } from '#engine/self-test.ts'
import { findNative, hasCuda, openRuntime } from '#native-ops/load.ts'
import { compose } from '../compose.ts'
import { findCudaLibraries } from '../services/cuda-libraries.ts'
import { settingsFolder, defaultProjectsFolder } from '../store/registry.ts'
import { CheckFailed, type Output } from './output.ts'

/** Elements to check the kernels on: the same each time, so that two reports can be compared. */
const selfTestSeed = 1

const driverFile = '/proc/driver/nvidia/version'

interface Finding {
  name: string
  ok: boolean
  found: string
  /** What to do when it is not well. */
  remedy: string | null
}

/** `zigma doctor`: everything the studio stands on, and what to do about what is missing. Exit code 3 when something is. */
export async function doctor(output: Output): Promise<void> {
  const studio = await compose({ host: 'cli' })
  try {
    const { engine, ffmpeg, freeBytes, version } = await studio.services['system.describe'](null, { signal: new AbortController().signal })
    const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`
    const nvidia = existsSync(driverFile)
    const findings: Finding[] = [
      { name: 'studio', ok: true, found: version, remedy: null },
      { name: 'node', ok: true, found: process.version, remedy: null },
      {
        name: 'engine',
        ok: engine.problem === null,
        found: engine.problem ?? engine.device,
        remedy: engine.problem ? 'node scripts/setup.mjs' : null,
      },
      ...(nvidia ? await gpuFindings() : [{ name: 'gpu', ok: true, found: 'none; computing on the processor', remedy: null }]),
      ...(engine.problem === null ? await kernelFindings() : []),
      {
        name: 'ffmpeg',
        ok: ffmpeg !== null,
        found: ffmpeg
          ? `${ffmpeg.version} (${ffmpeg.path})${ffmpeg.note ? ` · ${ffmpeg.note}` : ''}`
          : 'not found; pictures work, videos do not',
        remedy: ffmpeg ? null : 'sudo apt-get install ffmpeg',
      },
      { name: 'processor', ok: true, found: `${availableParallelism()} threads, ${gib(totalmem())} memory`, remedy: null },
      {
        name: 'free space',
        ok: (freeBytes ?? Infinity) > 2 * 2 ** 30,
        found: freeBytes === null ? 'unknown' : gib(freeBytes),
        remedy: (freeBytes ?? Infinity) > 2 * 2 ** 30 ? null : 'free at least 2 GiB',
      },
      { name: 'projects', ok: true, found: defaultProjectsFolder(), remedy: null },
      { name: 'settings', ok: true, found: settingsFolder(), remedy: null },
    ]
    const wrong = findings.filter(({ ok }) => !ok)
    output.answer(
      { ok: wrong.length === 0, findings },
      findings
        .map(({ name, ok, found, remedy }) => `${ok ? '✓' : '✗'} ${name.padEnd(11)} ${found}${remedy ? `\n  → ${remedy}` : ''}`)
        .join('\n'),
    )
    if (wrong.length > 0) throw new CheckFailed(`Not well: ${wrong.map(({ name }) => name).join(', ')}.`)
  } finally {
    await studio.close()
  }
}

/** The cards as the driver names them. */
async function gpuNames(): Promise<string[]> {
  const folder = '/proc/driver/nvidia/gpus'
  const names = (await readdir(folder)).map(
    async (card) => /Model:\s*(.+)/.exec(await readFile(join(folder, card, 'information'), 'utf8'))?.[1],
  )
  return (await Promise.all(names)).filter((name) => name !== undefined)
}

/** What stands between an NVIDIA driver and training on its GPU. */
async function gpuFindings(): Promise<Finding[]> {
  const driver = /Kernel Module\s+(?:for \S+\s+)?([\d.]+)/.exec(await readFile(driverFile, 'utf8'))?.[1] ?? 'unknown version'
  const { cudaOpsLibrary, ortLibrary } = findNative()
  const provider = join(dirname(ortLibrary), 'libonnxruntime_providers_cuda.so')
  const { found, missing, remedy } = await findCudaLibraries()
  const present = (name: string, path: string, how: string): Finding => ({
    name,
    ok: existsSync(path),
    found: existsSync(path) ? path : 'missing; computing on the processor',
    remedy: existsSync(path) ? null : how,
  })
  return [
    { name: 'gpu', ok: true, found: `${(await gpuNames()).join(', ') || 'unnamed'}; driver ${driver}`, remedy: null },
    present('cuda ops', cudaOpsLibrary, 'ZIGMA_CUDA=1 node scripts/setup.mjs (needs nvcc)'),
    present('provider', provider, 'npm run zigma -- gpu install'),
    {
      name: 'cuda libs',
      ok: missing.length === 0,
      found: missing.length === 0 ? Object.values(found).join(', ') : `missing: ${missing.join(', ')}`,
      remedy,
    },
  ]
}

/** Every operation and its gradient on every device that is there, beside the double-precision reference. */
async function kernelFindings(): Promise<Finding[]> {
  const host = openRuntime()
  const findings = [await kernelFinding('kernels cpu', () => checkKernels(host, host, { dtypes: ['f32'], seed: selfTestSeed }))]
  if (hasCuda()) {
    const onGpu = () => checkKernels(host, openRuntime({ device: 'cuda' }), { dtypes: ['f32', 'f16', 'bf16'], seed: selfTestSeed })
    findings.push(await kernelFinding('kernels gpu', onGpu))
  }
  return findings
}

async function kernelFinding(name: string, check: () => ReturnType<typeof checkKernels>): Promise<Finding> {
  try {
    const checks = await check()
    const wrong = checks.filter(({ passes }) => !passes)
    const list = wrong.map(({ operation, dtype, error }) => `${operation} ${dtype} ${error.toExponential(1)}`).join(', ')
    return {
      name,
      ok: wrong.length === 0,
      found:
        wrong.length === 0
          ? `${checks.length} of ${checks.length} checks passed`
          : `${wrong.length} of ${checks.length} checks failed: ${list}`,
      remedy: wrong.length === 0 ? null : 'node scripts/setup.mjs, and report it if it stays',
    }
  } catch (error) {
    return {
      name,
      ok: false,
      found: (error as Error).message.split('\n')[0]!,
      remedy: 'ZIGMA_DEVICE=cpu computes on the processor meanwhile',
    }
  }
}
