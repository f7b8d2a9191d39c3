import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, expect, test } from 'vitest'

const root = join(import.meta.dirname, '..', '..')
const folder = mkdtempSync(join(tmpdir(), 'zigma-run-'))
afterAll(() => {
  rmSync(folder, { recursive: true })
})

function script(name: string, text: string): string {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}

test('run.mjs runs TypeScript under Node 24 with its arguments and hands back the exit code', () => {
  const file = script(
    'seven.ts',
    'const [version]: string[] = [process.version]; console.log(version, ...process.argv.slice(2)); process.exit(7)',
  )
  const { status, stdout } = spawnSync('node', [join(root, 'scripts/run.mjs'), file, 'a b', '--c'], { encoding: 'utf8' })
  expect(stdout).toMatch(/^v24\.\d+\.\d+ a b --c\n$/)
  expect(status).toBe(7)
})

test('run.mjs passes a request to end on, and ends as its child does', async () => {
  const file = script('patient.ts', `process.on('SIGTERM', () => process.exit(3)); setInterval(() => {}, 1000); console.log('ready')`)
  const child = spawn('node', [join(root, 'scripts/run.mjs'), file], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  child.kill('SIGTERM')
  expect(await once(child, 'exit')).toEqual([3, null])
})

test('a set-up without its tools names each, why it is needed, and how to get it', () => {
  const { status, stderr } = spawnSync(process.execPath, [join(root, 'scripts/setup.mjs')], {
    encoding: 'utf8',
    env: { ...process.env, PATH: dirname(process.execPath) },
  })
  expect(stderr).toContain('cmake is missing: it builds the native library')
  expect(stderr).toContain('g++ is missing: it compiles the native library')
  expect(stderr).toMatch(/On Debian: sudo apt-get install .*cmake g\+\+/)
  expect(status).toBe(1)
})

test('of two set-ups at once the second waits for the first', async () => {
  const lock = join(folder, 'lock')
  const holder = script(
    'holder.mjs',
    `import { withLock } from '${join(root, 'scripts/setup-lock.mjs')}'
     import { appendFileSync } from 'node:fs'
     const log = (line) => appendFileSync('${join(folder, 'log')}', line + '\\n')
     await withLock('${lock}', () => {}, async () => {
       log('in')
       await new Promise((resolve) => setTimeout(resolve, 100))
       log('out')
     })`,
  )
  writeFileSync(lock, '4194304') // left behind by a process that is gone: it counts for nothing
  const processes = [1, 2, 3].map(() => spawn(process.execPath, [holder], { stdio: 'inherit' }))
  await Promise.all(processes.map((child) => once(child, 'exit')))
  expect(readFileSync(join(folder, 'log'), 'utf8')).toBe('in\nout\n'.repeat(3))
})
