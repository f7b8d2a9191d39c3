import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { findCudaLibraries } from '#main/services/cuda-libraries.ts'
import { gpuPackage, installProvider } from '#main/services/gpu-provider.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

/** An archive laid out as the package is, with a library too many. */
function madePackage(): { path: string; integrity: string } {
  const folder = temporaryFolder()
  mkdirSync(join(folder, gpuPackage.libraries), { recursive: true })
  for (const name of ['cuda', 'shared', 'tensorrt'])
    writeFileSync(join(folder, gpuPackage.libraries, `libonnxruntime_providers_${name}.so`), `the ${name} provider`)
  writeFileSync(join(folder, 'package', 'LICENSE'), 'MIT License')
  execFileSync('tar', ['-czf', 'made.tgz', 'package'], { cwd: folder })
  const path = join(folder, 'made.tgz')
  return { path, integrity: `sha512-${createHash('sha512').update(readFileSync(path)).digest('base64')}` }
}

function installation() {
  const made = madePackage()
  const home = temporaryFolder()
  const ortLibrary = join(home, 'ort.so')
  writeFileSync(ortLibrary, 'the runtime')
  let fetches = 0
  return {
    folder: join(home, 'gpu'),
    ortLibrary,
    integrity: made.integrity,
    fetched: () => fetches,
    onStage: () => undefined,
    fetchArchive: (folder: string) => {
      fetches++
      const path = join(folder, 'package.tgz')
      copyFileSync(made.path, path)
      return Promise.resolve(path)
    },
  }
}

test('the provider lies beside a copy of ONNX Runtime, with its licence and nothing else, and a second time does nothing', async () => {
  const install = installation()
  expect(await installProvider(install)).toBe(true)
  expect(readdirSync(install.folder).sort()).toEqual([
    'LICENSE',
    'libonnxruntime.so.1',
    'libonnxruntime_providers_cuda.so',
    'libonnxruntime_providers_shared.so',
  ])
  expect(readFileSync(join(install.folder, 'libonnxruntime.so.1'), 'utf8')).toBe('the runtime')
  expect(await installProvider(install)).toBe(false)
  expect(install.fetched()).toBe(1)
})

test('a package that is not the known one is thrown away, and nothing is put in place', async () => {
  const install = installation()
  await expect(installProvider({ ...install, integrity: gpuPackage.integrity })).rejects.toMatchObject({ code: 'corrupt-file' })
  expect(existsSync(join(install.folder, 'libonnxruntime_providers_cuda.so'))).toBe(false)
  expect(readdirSync(join(install.folder, 'parts'))).toEqual([])
})

test('an installation that was interrupted goes on with the package that it had; one that is broken is fetched again', async () => {
  const install = installation()
  const interrupted = { ...install, ortLibrary: join(install.folder, 'not there') }
  await expect(installProvider(interrupted)).rejects.toThrow()
  expect(await installProvider(install)).toBe(true)
  expect(install.fetched()).toBe(1)

  const other = installation()
  mkdirSync(join(other.folder, 'parts'), { recursive: true })
  writeFileSync(join(other.folder, 'parts', 'half.tgz'), 'half of it')
  expect(await installProvider(other)).toBe(true)
  expect(other.fetched()).toBe(1)
})

test('a library of the search path counts as found, and what is missing comes with the command that gets it', async () => {
  const folder = temporaryFolder()
  writeFileSync(join(folder, 'libcudnn.so.9'), '')
  const { found, missing, remedy } = await findCudaLibraries({ LD_LIBRARY_PATH: folder })
  expect(found['libcudnn.so.9']).toBe(join(folder, 'libcudnn.so.9'))
  expect(missing).not.toContain('libcudnn.so.9')
  if (missing.includes('libcublas.so.13')) expect(remedy).toContain('libcublas-13-0')
  if (missing.length === 0) expect(remedy).toBeNull()
})
