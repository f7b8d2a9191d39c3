// node scripts/run.mjs FILE ARGS: runs FILE under Node 24, whatever Node this is. Setting up comes first where it was never done.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { findNode24, root, setUp } from './node24.mjs'

const [file, ...args] = process.argv.slice(2)
if (file === undefined) {
  console.error('Say which file to run: node scripts/run.mjs FILE ARGS')
  process.exit(2)
}
if (!existsSync(join(root, 'node_modules')) || !existsSync(join(root, 'build/native/zigma_addon.node'))) setUp()

const node = findNode24()
if ('problem' in node) {
  console.error(node.problem)
  process.exit(1)
}

// By default the young generation of the heap grows with the work that was done, to 100 MB of garbage after ten thousand pictures; no command was slower without that.
const flags = ['--max-semi-space-size=4']
const child = spawn(node.path, [...flags, existsSync(file) ? file : join(root, file), ...args], { stdio: 'inherit' })
// A Ctrl-C in a terminal reaches the child by itself; sent twice it would mean "stop at once" to many programs.
process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'))
process.on('SIGTERM', () => child.kill('SIGTERM'))
process.on('SIGHUP', () => child.kill('SIGHUP'))
child.on('error', (error) => {
  console.error(`${node.path} does not start: ${error.message}. Run \`node scripts/setup.mjs\`.`)
  process.exit(1)
})
child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]))
