import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, expect, test } from 'vitest'

const root = join(import.meta.dirname, '..', '..')
const folder = mkdtempSync(join(tmpdir(), 'zigma-setup-'))
afterAll(() => {
  rmSync(folder, { recursive: true })
})

/** A checkout without packages whose native library and window are a moment's work; `builds.txt` counts what was built. */
function smallCheckout(path: string): void {
  const write = (name: string, text: string) => {
    mkdirSync(dirname(join(path, name)), { recursive: true })
    writeFileSync(join(path, name), text)
  }
  for (const name of ['setup.mjs', 'setup-lock.mjs', 'node24.mjs']) cpSync(join(root, 'scripts', name), join(path, 'scripts', name))
  cpSync(join(root, '.cache/ort-headers/.sha512'), join(path, '.cache/ort-headers/.sha512'))
  write('package-lock.json', '{ "packages": {} }')
  write('node_modules/.package-lock.json', '{ "packages": {} }')
  write(
    'native-ops/CMakeLists.txt',
    `cmake_minimum_required(VERSION 3.18)
     project(small LANGUAGES NONE)
     foreach(product zigma_addon.node libzigma_ops.so libzigma_ops.dylib)
       file(WRITE \${CMAKE_BINARY_DIR}/\${product} "")
     endforeach()
     file(APPEND \${CMAKE_SOURCE_DIR}/../builds.txt "native ")`,
  )
  write(
    'node_modules/electron-vite/bin/electron-vite.js',
    `const { appendFileSync, mkdirSync, writeFileSync } = require('node:fs')
     for (const room of ['main', 'preload', 'renderer']) mkdirSync('out/' + room, { recursive: true })
     for (const file of ['main/index.cjs', 'main/engine.cjs', 'preload/index.cjs', 'renderer/index.html']) writeFileSync('out/' + file, '')
     appendFileSync('builds.txt', 'window ')`,
  )
}

function setUp(path: string) {
  const { status, stderr } = spawnSync(process.execPath, [join(path, 'scripts/setup.mjs')], { encoding: 'utf8' })
  return { status, stderr, built: readFileSync(join(path, 'builds.txt'), 'utf8').trim().split(' ') }
}

test('a set-up builds what is not built, and nothing the second time', () => {
  const path = join(folder, 'checkout')
  smallCheckout(path)
  expect(setUp(path)).toEqual({
    status: 0,
    stderr: 'setup: building the native library\nsetup: building the window\n',
    built: ['native', 'window'],
  })
  expect(setUp(path)).toEqual({ status: 0, stderr: '', built: ['native', 'window'] })
})

test('a checkout that was moved with what it built still sets up after a change of the native sources', () => {
  const path = join(folder, 'before')
  const moved = join(folder, 'after')
  smallCheckout(path)
  expect(setUp(path).status).toBe(0)
  renameSync(path, moved)
  writeFileSync(join(moved, 'native-ops/src'), 'a change')
  expect(setUp(moved)).toMatchObject({ status: 0, built: ['native', 'window', 'native'] })
})
