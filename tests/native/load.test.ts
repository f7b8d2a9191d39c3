import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterAll, expect, test, vi } from 'vitest'
import { findNative, loadNative, openRuntime } from '#native-ops/load.ts'

const folder = mkdtempSync(join(tmpdir(), 'zigma-native-'))
afterAll(() => {
  rmSync(folder, { recursive: true })
})

const loadError: unknown = expect.objectContaining({ code: 'LoadError' })

test('the runtime knows its version and the processor', () => {
  const runtime = openRuntime({ threads: 2 })
  expect(runtime.ortVersion).toBe('1.29.0')
  expect(['avx512', 'avx2', 'baseline']).toContain(runtime.instructionSet)
  expect(runtime.threads).toBe(2)
})

test('the processor is told as the narrower instruction set that was asked for, and as its own where there is none of that name', () => {
  const told = (wanted: string) => {
    const script = `import { openRuntime } from ${JSON.stringify(new URL('../../native-ops/lib/load.ts', import.meta.url).href)}
      console.log(openRuntime({ threads: 1 }).instructionSet)`
    const env = { ...process.env, ZIGMA_INSTRUCTION_SET: wanted }
    return execFileSync(process.execPath, ['--input-type=module-typescript', '--eval', script], { env, encoding: 'utf8' }).trim()
  }
  const own = told('')
  expect(told('baseline')).toBe('baseline')
  expect(told('sse9')).toBe(own)
  if (own !== 'baseline') expect(told('avx2')).toBe('avx2')
})

test('a missing addon says which file and what to do', () => {
  vi.stubEnv('ZIGMA_NATIVE', join(folder, 'nowhere'))
  expect(() => openRuntime()).toThrow(`${join(folder, 'nowhere', 'libonnxruntime.so.1')} is missing. Run \`node scripts/setup.mjs\``)
  expect(() => loadNative()).toThrow(loadError)
  vi.unstubAllEnvs()
})

test('an addon that is not one says so', () => {
  const fake = join(folder, 'fake.node')
  writeFileSync(fake, 'not a library')
  expect(() => loadNative(fake)).toThrow(/^The native addon cannot be loaded \(.*\)\. Run/)
})

test('a library that is not ONNX Runtime, or a second one, is refused', () => {
  const { opsLibrary } = findNative()
  expect(() => openRuntime({ ortLibrary: opsLibrary })).toThrow(loadError)
  expect(() => openRuntime({ opsLibrary: join(folder, 'fake.node') })).toThrow('The library of native ops cannot be loaded')
  expect(() => openRuntime({ threads: 0 })).toThrow('threads must be a whole number of at least 1, not 0')
})

test('a worker thread can use the addon too, and end without harm', async () => {
  const source = `
    import { parentPort } from 'node:worker_threads'
    import { openRuntime } from '${new URL('../../native-ops/lib/load.ts', import.meta.url).href}'
    const arena = openRuntime({ threads: 1 }).createArena(64)
    arena.tensor(0, 'f32', [2]).write(new Float32Array([1, 2]))
    parentPort.postMessage([...arena.read(0, 4)])`
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`))
  const message = await new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
  expect(message).toEqual([0, 0, 128, 63])
  await worker.terminate()
})

/** A program that begins a run of some seconds, and then does what `then` says. */
function running(then: string): string {
  const from = (path: string) => JSON.stringify(new URL(`../../${path}`, import.meta.url).href)
  return `import { parentPort } from 'node:worker_threads'
     import { openRuntime } from ${from('native-ops/lib/load.ts')}
     import { longModel } from ${from('tests/support/small-models.ts')}
     const runtime = openRuntime({ threads: 1 })
     const session = await runtime.createSession(longModel(256, 20000))
     const arena = runtime.createArena(3 * 256 * 256 * 4)
     const tensor = (i: number) => arena.tensor(i * 256 * 256 * 4, 'f32', [256, 256])
     const binding = session.createBinding()
     binding.bindInput('x', tensor(0))
     binding.bindInput('w', tensor(1))
     binding.bindOutput('y', tensor(2))
     const run = binding.run()
     ${then}`
}

test('a process that leaves while a run is in progress ends at once and in order', () => {
  const script = join(folder, 'leave.ts')
  writeFileSync(
    script,
    running(`setTimeout(() => {
       process.stdout.write(String(Date.now()))
       process.exit(0)
     }, 50)`),
  )
  const left = Number(execFileSync(process.execPath, [script], { encoding: 'utf8' }))
  expect(Date.now() - left).toBeLessThan(5000)
})

test('a process that has nothing else to do stays until its run is done', () => {
  const script = join(folder, 'stay.ts')
  writeFileSync(
    script,
    running(`run.catch((error) => console.log(error.code))
     setTimeout(() => binding.cancel(), 100).unref()`),
  )
  expect(execFileSync(process.execPath, [script], { encoding: 'utf8' }).trim()).toBe('Aborted')
})

test('a worker thread that is ended while a run is in progress stops the run and takes nothing with it', async () => {
  const script = join(folder, 'worker.ts')
  writeFileSync(script, running(`run.catch(() => {}); parentPort.postMessage('runs')`))
  const worker = new Worker(script)
  await new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
  const from = Date.now()
  await worker.terminate()
  expect(Date.now() - from).toBeLessThan(5000)
})
