// Makes a fresh clone ready: packages, ONNX Runtime's headers, native library, window. Each step is skipped when it is up to date.
// Runs on Node 20 with nothing installed, so it uses Node's own modules only. Progress goes to stderr, for people.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { delimiter, dirname, join, relative, resolve } from 'node:path'
import { findNode24, root } from './node24.mjs'
import { withLock } from './setup-lock.mjs'

const say = (line) => process.stderr.write(`setup: ${line}\n`)
const at = (...parts) => join(root, ...parts)

class SetupError extends Error {}

function run(what, command, args, options = {}) {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    shell: process.platform === 'win32' && command === 'npm',
    ...options,
    env: { ...process.env, ...options.env },
  })
  if (error) throw new SetupError(`${what}: ${command} does not start (${error.message}).`)
  if (status !== 0) throw new SetupError(`${what} failed (${command} ended with ${status}):\n${lastLines(stdout + stderr)}`)
  return stdout
}

const lastLines = (text) => text.trim().split('\n').slice(-40).join('\n')

// --- tools ---------------------------------------------------------------------------------------------------------------------

const tools = [
  { names: ['npm'], why: 'it installs the packages', debian: 'npm' },
  { names: ['tar'], why: "it unpacks ONNX Runtime's headers", debian: 'tar' },
  { names: ['cmake'], why: 'it builds the native library', debian: 'cmake' },
  { names: ['g++', 'c++', 'clang++'], why: 'it compiles the native library', debian: 'g++' },
]

function checkTools() {
  const endings = process.platform === 'win32' ? ['.exe', '.cmd'] : ['']
  const folders = (process.env.PATH ?? '').split(delimiter)
  const present = (name) => folders.some((folder) => endings.some((ending) => existsSync(join(folder, name + ending))))
  const missing = tools.filter(({ names }) => !names.some(present))
  if (missing.length === 0) return
  const lines = missing.map(({ names, why }) => `  ${names[0]} is missing: ${why}`)
  throw new SetupError(`${lines.join('\n')}\nOn Debian: sudo apt-get install ${missing.map(({ debian }) => debian).join(' ')}`)
}

// --- packages ------------------------------------------------------------------------------------------------------------------

const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'))

/** Whether npm's own record of what it installed names every package of the lock file, and each is still there. */
function packagesUpToDate() {
  if (!existsSync(at('node_modules/.package-lock.json'))) return false
  const wanted = readJson(at('package-lock.json')).packages
  const installed = readJson(at('node_modules/.package-lock.json')).packages
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '' || entry.link) return true
    const found = installed[path]
    if (!found) return entry.optional === true
    return found.version === entry.version && found.integrity === entry.integrity && existsSync(at(path))
  })
}

function installPackages() {
  if (packagesUpToDate()) return
  say('installing packages, which takes a minute or two the first time')
  // No package needs its install script: those that have one would only download what this project brings or builds itself.
  run('Installing packages', 'npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
    env: { ONNXRUNTIME_NODE_INSTALL: 'skip' },
  })
}

/** The package of ffmpeg lacks the right to execute it on some machines, and its install script would set it. */
function allowFfmpeg() {
  const binary = at(
    'node_modules/@ffmpeg-installer',
    `${process.platform}-${process.arch}`,
    process.platform === 'win32' ? 'ffmpeg.exe' : 'ffmpeg',
  )
  if (existsSync(binary) && (statSync(binary).mode & 0o100) === 0) chmodSync(binary, 0o755)
}

// --- ONNX Runtime's headers ----------------------------------------------------------------------------------------------------

const headers = {
  package: 'com.github.asus4.onnxruntime@0.4.9', // carries ONNX Runtime 1.29.0, as onnxruntime-node does
  inside: 'package/Plugins/iOS~/onnxruntime.xcframework/ios-arm64/onnxruntime.framework/Headers',
  sha512: 'BkzxduSZ9IkeDP6Q8lz2TFU2ie7hSSvS7ZIfzMooExoq0CNzJnuuGaUJ7IsojBgqO4ouD1jXah8OYyJbCN29Fg==',
}

function fetchHeaders() {
  const stamp = at('.cache/ort-headers/.sha512')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === headers.sha512) return
  say("fetching ONNX Runtime's headers (150 MB once; only the headers are kept)")
  const folder = at('.cache/ort-headers.download')
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const [{ filename }] = JSON.parse(
    run('Fetching the headers', 'npm', ['pack', headers.package, '--json', '--loglevel=error'], { cwd: folder }),
  )
  const archive = join(folder, filename)
  const sha512 = createHash('sha512').update(readFileSync(archive)).digest('base64')
  if (sha512 !== headers.sha512) {
    throw new SetupError(`${headers.package} is not the package this project was made with: its sha512 is ${sha512}. Do not use it.`)
  }
  run('Unpacking the headers', 'tar', ['-xzf', archive, headers.inside], { cwd: folder })
  writeFileSync(join(folder, headers.inside, '.sha512'), headers.sha512)
  rmSync(at('.cache/ort-headers'), { recursive: true, force: true })
  renameSync(join(folder, headers.inside), at('.cache/ort-headers'))
  rmSync(folder, { recursive: true })
}

// --- what is built -------------------------------------------------------------------------------------------------------------

/** A hash over names and contents of all files at `paths`. */
function hashSources(paths) {
  const hash = createHash('sha256')
  const visit = (path) => {
    if (!existsSync(path)) return
    if (statSync(path).isDirectory()) {
      for (const name of readdirSync(path).sort()) visit(join(path, name))
    } else {
      hash
        .update(`${relative(root, path)}\0`)
        .update(readFileSync(path))
        .update('\0')
    }
  }
  for (const path of paths) visit(at(path))
  return hash.digest('hex')
}

/** Runs `make` unless `products` exist and the stamp says they were made from the same sources. */
function build({ stamp, products, sources, make }) {
  const hash = hashSources(sources)
  const fresh = existsSync(at(stamp)) && readFileSync(at(stamp), 'utf8') === hash
  if (fresh && products.every((path) => existsSync(at(path)))) return
  make()
  const missing = products.filter((path) => !existsSync(at(path)))
  if (missing.length > 0) throw new SetupError(`The build ended without an error but left out ${missing.join(' and ')}.`)
  mkdirSync(dirname(at(stamp)), { recursive: true })
  writeFileSync(at(stamp), hash)
}

/** The operations for NVIDIA GPUs take minutes to compile, so they are built where such a GPU is, or where ZIGMA_CUDA=1 asks for them. */
const wantsCuda = () => process.env.ZIGMA_CUDA === '1' || (process.env.ZIGMA_CUDA !== '0' && existsSync('/proc/driver/nvidia/version'))

/** CMake refuses a build folder that was made at another path, so a checkout that was moved or copied builds anew. */
function forgetMovedBuild(folder, sources) {
  const cache = at(folder, 'CMakeCache.txt')
  if (!existsSync(cache)) return
  const madeFrom = /^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$/m.exec(readFileSync(cache, 'utf8'))?.[1]
  if (madeFrom === undefined || resolve(madeFrom) !== at(sources)) rmSync(at(folder), { recursive: true })
}

function buildNative() {
  build({
    stamp: 'build/native/.sources',
    products: ['build/native/zigma_addon.node', `build/native/libzigma_ops.${process.platform === 'darwin' ? 'dylib' : 'so'}`],
    sources: ['native-ops/CMakeLists.txt', 'native-ops/src', 'native-ops/tests', '.cache/ort-headers/.sha512'],
    make() {
      say('building the native library')
      forgetMovedBuild('build/native', 'native-ops')
      const cuda = `-DZIGMA_CUDA=${wantsCuda() ? 'ON' : 'OFF'}`
      run('Configuring the native build', 'cmake', ['-S', 'native-ops', '-B', 'build/native', '-DCMAKE_BUILD_TYPE=Release', cuda])
      run('Building the native library', 'cmake', ['--build', 'build/native', '--parallel', String(availableParallelism())])
    },
  })
}

function buildWindow(node) {
  build({
    stamp: 'out/.sources',
    products: ['out/main/index.cjs', 'out/main/engine.cjs', 'out/preload/index.cjs', 'out/renderer/index.html'],
    sources: ['electron.vite.config.ts', 'package-lock.json', 'renderer', 'preload', 'main', 'contracts', 'engine', 'native-ops/lib'],
    make() {
      say('building the window')
      run('Building the window', node, ['node_modules/electron-vite/bin/electron-vite.js', 'build', '--logLevel', 'warn'])
    },
  })
}

// -------------------------------------------------------------------------------------------------------------------------------

try {
  checkTools()
  await withLock(at('.cache/setup.lock'), say, () => {
    installPackages()
    allowFfmpeg()
    const node = findNode24()
    if ('problem' in node)
      throw new SetupError(
        'npm left out Node 24, an optional package. Allow those (`npm config get omit`) or install Node 24 from nodejs.org.',
      )
    fetchHeaders()
    buildNative()
    buildWindow(node.path)
  })
} catch (error) {
  if (!(error instanceof SetupError)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 1
}
