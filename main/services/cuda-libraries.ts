import { execFile } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

/** What the CUDA provider loads, and the packages of NVIDIA's repository for Debian and Ubuntu that have it. */
const needed = [
  { name: 'libcuda.so.1', from: null },
  { name: 'libcudart.so.13', from: 'cuda-cudart-13-0' },
  { name: 'libcublas.so.13', from: 'libcublas-13-0' },
  { name: 'libcublasLt.so.13', from: 'libcublas-13-0' },
  { name: 'libcurand.so.10', from: 'libcurand-13-0' },
  { name: 'libcudnn.so.9', from: 'libcudnn9-cuda-13' },
] as const

export interface CudaLibraries {
  /** By name, where each lies. */
  found: Readonly<Record<string, string>>
  missing: readonly string[]
  /** The command that gets what is missing; null where nothing is. */
  remedy: string | null
}

/** The libraries that training on a GPU needs, by the rules of the loader: its own search path first, then its cache. */
export async function findCudaLibraries(environment: NodeJS.ProcessEnv = process.env): Promise<CudaLibraries> {
  const folders = (environment.LD_LIBRARY_PATH ?? '').split(delimiter).filter((folder) => folder !== '')
  const places = new Map<string, string>()
  for (const line of (await loaderCache()).split('\n')) {
    const [, name, path] = /^\s*(\S+) \(.*\) => (\S+)$/.exec(line) ?? []
    if (name && path && !places.has(name)) places.set(name, path)
  }
  for (const folder of folders.toReversed()) for (const name of await readdir(folder).catch(() => [])) places.set(name, join(folder, name)) // a folder that is not there is none
  const missing = needed.filter(({ name }) => !places.has(name))
  const packages = [...new Set(missing.flatMap(({ from }) => from ?? []))]
  const driver = missing.some(({ from }) => from === null)
  const install = packages.length > 0 ? `sudo apt-get install ${packages.join(' ')} (NVIDIA's repository, or set LD_LIBRARY_PATH)` : null
  return {
    found: Object.fromEntries(needed.flatMap(({ name }) => (places.has(name) ? [[name, places.get(name)!]] : []))),
    missing: missing.map(({ name }) => name),
    remedy:
      [driver ? "NVIDIA's driver: sudo apt-get install nvidia-driver" : null, install].filter((one) => one !== null).join('; ') || null,
  }
}

/** What `ldconfig` lists; nothing where there is no such program. */
async function loaderCache(): Promise<string> {
  for (const program of ['ldconfig', '/sbin/ldconfig']) {
    const listed = await promisify(execFile)(program, ['-p']).catch(() => null)
    if (listed) return listed.stdout
  }
  return ''
}
