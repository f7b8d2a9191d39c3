import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { copyFile, mkdir, readdir, rename, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { StudioError } from '#contracts/errors.ts'

/** ONNX Runtime's CUDA provider as it lies in the public npm registry: Microsoft's library, packed by a third party, known here by its hash. */
export const gpuPackage = {
  name: 'com.github.asus4.onnxruntime.linux-x64-gpu',
  version: '0.4.9',
  integrity: 'sha512-FopIhNE/Ng+v2X65wVc9clPCBCvhvA53Hxo2U0Kf5fGdVsC7iCA+mZ0KLWggcQAj7TIZ6pNidR4AC10g74Xo6w==',
  licence: 'MIT, Microsoft Corporation',
  downloadBytes: 179_145_956,
  /** On the disk afterwards, ONNX Runtime's own library beside it included, and while it is unpacked. */
  installedBytes: 275_000_000,
  workingBytes: 480_000_000,
  libraries: 'package/Plugins/Linux/x64',
} as const

/** The last of these is put in place last: where it is, all are. */
const libraries = ['libonnxruntime_providers_shared.so', 'libonnxruntime_providers_cuda.so'] as const

export interface ProviderInstall {
  /** Where it comes to lie. */
  folder: string
  /** ONNX Runtime's library, which finds its providers beside itself: a copy of it goes with them. */
  ortLibrary: string
  /** Told what is going on, a sentence at a time. */
  onStage: (sentence: string) => void
  /** Puts the package's archive into a folder and gives its path; by default npm does. */
  fetchArchive?: (folder: string) => Promise<string>
  integrity?: string
}

/**
 * Fetches the CUDA provider and puts it where the studio looks for it. Interrupted, it goes on where it was: an archive that is whole is not fetched
 * again, and nothing is in its place before all of it is right. False: it was there already.
 *
 * @throws StudioError disk-full, corrupt-file when the archive is not the known one, not-found when npm is missing or cannot fetch it.
 */
export async function installProvider({
  folder,
  ortLibrary,
  onStage,
  fetchArchive = fetchByNpm,
  integrity = gpuPackage.integrity,
}: ProviderInstall): Promise<boolean> {
  if (isInstalled(folder)) return false
  const parts = join(folder, 'parts')
  await mkdir(parts, { recursive: true })
  const { bavail, bsize } = await statfs(folder)
  if (bavail * bsize < gpuPackage.workingBytes)
    throw new StudioError(
      'disk-full',
      `${folder} needs ${mb(gpuPackage.workingBytes)} free and has ${mb(bavail * bsize)}. Make room and try again.`,
    )

  let archive = await archiveIn(parts)
  if (archive && (await hashOf(archive)) === integrity) onStage('The package was fetched before and is whole.')
  else {
    if (archive) await rm(archive)
    onStage(`Fetching ${gpuPackage.name}@${gpuPackage.version}: ${mb(gpuPackage.downloadBytes)}, licence ${gpuPackage.licence}.`)
    archive = await fetchArchive(parts)
    const hash = await hashOf(archive)
    if (hash !== integrity) {
      await rm(archive)
      throw new StudioError(
        'corrupt-file',
        `The package that came is not the known one (${hash}, not ${integrity}) and was thrown away. Try again.`,
      )
    }
  }
  onStage('Unpacking two libraries and the licence.')
  const wanted = libraries.map((name) => `${gpuPackage.libraries}/${name}`)
  await run('tar', ['-xzf', archive, '-C', parts, '--no-same-owner', '--no-same-permissions', ...wanted, 'package/LICENSE'], parts)
  await copyFile(ortLibrary, join(parts, 'libonnxruntime.so.1'))
  await rename(join(parts, 'libonnxruntime.so.1'), join(folder, 'libonnxruntime.so.1'))
  await rename(join(parts, 'package', 'LICENSE'), join(folder, 'LICENSE'))
  for (const [i, name] of libraries.entries()) await rename(join(parts, wanted[i]!), join(folder, name))
  await rm(parts, { recursive: true })
  return true
}

export function isInstalled(folder: string): boolean {
  return existsSync(join(folder, libraries[1])) && existsSync(join(folder, 'libonnxruntime.so.1'))
}

async function archiveIn(folder: string): Promise<string | null> {
  const name = (await readdir(folder)).find((one) => one.endsWith('.tgz'))
  return name === undefined ? null : join(folder, name)
}

/** As registries write it: the algorithm, a dash and the hash in base64. */
async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha512')
  await pipeline(createReadStream(path), hash)
  return `sha512-${hash.digest('base64')}`
}

/** npm knows the user's registry, proxy and certificates, and checks what it fetched. */
async function fetchByNpm(folder: string): Promise<string> {
  await run('npm', ['pack', `${gpuPackage.name}@${gpuPackage.version}`, '--pack-destination', folder], folder)
  const archive = await archiveIn(folder)
  if (!archive || (await stat(archive)).size === 0)
    throw new StudioError('not-found', 'npm ended without the package. Check `npm ping` and try again.')
  return archive
}

function run(program: string, args: readonly string[], cwd: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, stdio: ['ignore', 'ignore', 'pipe'] })
    let lastWords = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (lastWords = (lastWords + text).slice(-2000)))
    child.on('error', (cause) => {
      reject(new StudioError('not-found', `The program "${program}" cannot be started. Install it and try again.`, { cause }))
    })
    child.on('close', (code) => {
      if (code === 0) return resolve()
      reject(new StudioError('not-found', `${program} ended with ${code}: ${lastWords.trim().split('\n').at(-1) ?? ''}`))
    })
  })
}

const mb = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`
