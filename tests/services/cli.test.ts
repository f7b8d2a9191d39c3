import { execFile, execFileSync, spawn } from 'node:child_process'
import { existsSync, globSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { beforeAll, describe, expect, test } from 'vitest'
import { writeSafetensors } from '#engine/checkpoint/safetensors.ts'
import { storeFloats } from '#engine/checkpoint/tensor-bytes.ts'
import { makePattern } from '../support/made-videos.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { exactAutoencoder, writeAutoencoder } from '../support/tiny-autoencoders.ts'

const cli = join(import.meta.dirname, '../../main/cli/index.ts')
const home = temporaryFolder()
const source = join(home, 'source')
const env = { ...process.env, ZIGMA_HOME: join(home, 'settings'), ZIGMA_PROJECTS: join(home, 'projects'), ZIGMA_THREADS: '2' }

interface Ended {
  code: number
  stdout: string
  stderr: string
}
const zigma = (...args: string[]): Promise<Ended> => zigmaWith({}, ...args)
function zigmaWith(more: Record<string, string>, ...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [cli, ...args], { env: { ...env, ...more } }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    )
  })
}

beforeAll(async () => {
  mkdirSync(source)
  for (let i = 0; i < 4; i++)
    writeFileSync(
      join(source, `color ${i}.png`),
      await sharp({ create: { width: 40, height: 40, channels: 3, background: { r: 60 * i, g: 90, b: 200 } } })
        .png()
        .toBuffer(),
    )
  writeFileSync(join(source, 'broken.png'), 'not a picture')
})

describe('zigma', { timeout: 60_000 }, () => {
  test('imports, trains and draws: one JSON document each on stdout, all else on stderr', async () => {
    const project = join(home, 'a project')
    const imported = await zigma('import', source, '--project', project, '--size', '16', '--json')
    expect(imported).toMatchObject({ code: 0 })
    expect(JSON.parse(imported.stdout)).toMatchObject({ totals: { found: 5, used: 4, rejected: 1 }, items: 4 })

    const recipe = join(home, 'recipe.json')
    writeFileSync(recipe, JSON.stringify(await smallRecipe()))
    const trained = await zigma('train', '--project', project, '--recipe', recipe, '--steps', '3', '--json')
    expect(trained).toMatchObject({ code: 0 })
    const run = JSON.parse(trained.stdout) as { id: string }
    expect(run).toMatchObject({ state: 'finished', step: 3, recipe: { steps: 3 } })

    const out = join(home, 'out')
    const drawn = await zigma('sample', '--project', project, '--prompt', 'color', '--count', '2', '--steps', '2', '--out', out, '--json')
    expect(drawn).toMatchObject({ code: 0 })
    const { pictures, runId } = JSON.parse(drawn.stdout) as { runId: string; pictures: { file: string }[] }
    expect(runId).toBe(run.id)
    expect(pictures.map(({ file }) => existsSync(file))).toEqual([true, true])
  })

  test('chooses an autoencoder, trains on latents and says what the cache holds', async () => {
    const project = join(home, 'in latents')
    await zigma('import', source, '--project', project, '--size', '32', '--json')
    expect(await zigma('train', '--project', project, '--preset', 'tiny', '--latents')).toMatchObject({ code: 2, stderr: expect.stringMatching(/^The project has no autoencoder/) as string }) // prettier-ignore
    const chosen = await zigma(
      'autoencoder',
      writeAutoencoder(join(home, 'autoencoder'), exactAutoencoder()),
      '--project',
      project,
      '--json',
    )
    expect(JSON.parse(chosen.stdout)).toMatchObject({ autoencoder: { name: 'autoencoder', channels: 12, factor: 2 } })
    const recipe = join(home, 'recipe of latents.json')
    writeFileSync(recipe, JSON.stringify(await smallRecipe())) // for pictures of 16 x 16: here for as many latents
    const trained = await zigma('train', '--project', project, '--recipe', recipe, '--steps', '2', '--latents', '--json')
    expect(JSON.parse(trained.stdout)).toMatchObject({
      state: 'finished',
      recipe: { autoencoder: { channels: 12 }, model: { channels: 12 } },
    })
    const { stdout } = await zigma('cache', '--project', project, '--clean', '--json')
    expect(JSON.parse(stdout)).toMatchObject({ entries: 4, orphans: 0, cleaned: { entries: 0 } })
    const words = await zigma('cache', '--project', project)
    expect(words.stdout).toMatch(/^The cache holds 4 entries, 48\.\d KiB; nothing asks for 0 of them, 0 bytes\.\n {2}latents-12x16x16-f32/)
    const out = join(home, 'exports', 'latents')
    const exported = await zigma('export', '--project', project, '--layout', 'zigma', '--latents', '--out', out, '--together', '--json')
    expect(JSON.parse(exported.stdout)).toMatchObject({ items: 4, leftOut: [] })
    const names = execFileSync('tar', ['tf', join(out, 'train-000000.tar')], { encoding: 'utf8' }).trimEnd().split('\n') // prettier-ignore
    expect(names.filter((name) => name.endsWith('.img_feature32.npy'))).toHaveLength(4)
  })

  test('ends with the ledger as JSON, whatever lies in a folder', async () => {
    const folder = join(home, 'strange -- folder')
    mkdirSync(folder)
    const picture = readFileSync(join(source, 'color 1.png'))
    for (const name of ['a "quoted" name.png', '-rf.png', 'line\nbreak\x07.png']) writeFileSync(join(folder, name), picture)
    for (const name of ['empty.png', 'empty.zip', 'notes.txt']) writeFileSync(join(folder, name), '')
    execFileSync('mkfifo', [join(folder, 'pipe.png'), join(folder, 'pipe.txt')])
    symlinkSync('.', join(folder, 'loop'))
    symlinkSync('/', join(folder, 'root'))
    const { code, stdout } = await zigma('import', folder, '--project', join(home, 'strange'), '--size', '16', '--json')
    expect(code).toBe(0)
    const { ledger, totals, roots } = JSON.parse(stdout) as {
      ledger: { source: string; reason: string | null }[]
      totals: object
      roots: object
    }
    expect(Object.fromEntries(ledger.map(({ source: name, reason }) => [name, reason]))).toEqual({
      '-rf.png': null,
      'a "quoted" name.png': 'duplicate',
      'line\nbreak\x07.png': 'duplicate',
      'empty.png': 'empty-file',
      'empty.zip': 'not-a-picture',
      'notes.txt': 'caption-without-picture',
      'pipe.png': 'not-a-file',
      'pipe.txt': 'not-a-file',
      loop: 'link-outside',
      root: 'link-outside',
    })
    expect(totals).toEqual({ found: 10, used: 1, partial: 0, rejected: 9 })
    expect(roots).toMatchObject([{ root: folder, state: 'online', found: 10, items: 1, copied: 0 }])
    const csv = join(home, 'ledger.csv')
    const links = await zigma('ledger', '--project', join(home, 'strange'), '--reason', 'link-outside', '--csv', csv, '--json')
    expect(JSON.parse(links.stdout)).toMatchObject({ totals, files: [{ source: 'loop' }, { source: 'root' }] })
    expect(readFileSync(csv, 'utf8').trim().split('\r\n')).toHaveLength(3)
  })

  test('ends with the ledger and the reason where a folder has no picture', async () => {
    const folder = join(home, 'no pictures')
    mkdirSync(folder)
    writeFileSync(join(folder, 'notes.md'), 'hello')
    const { code, stdout, stderr } = await zigma('import', folder, '--project', join(home, 'none'), '--json')
    expect(code).toBe(2)
    expect(JSON.parse(stdout)).toMatchObject({
      error: { code: 'bad-source' },
      recognized: { container: 'folder', layout: 'plain' },
      totals: { found: 1, rejected: 1 },
      ledger: [{ source: 'notes.md', state: 'rejected', reason: 'not-a-picture' }],
    })
    expect(stderr).toMatch(/There is no picture in/)
  })

  test('takes the project away again that it made for an import that brings nothing, and leaves all else as it was', async () => {
    const missing = join(home, 'is not there')
    expect(await zigma('import', missing, '--project', join(home, 'for nothing'))).toMatchObject({ code: 2 })
    expect(existsSync(join(home, 'for nothing'))).toBe(false)
    const known = () => JSON.stringify(readFileSync(join(home, 'settings', 'projects.json'), 'utf8'))
    expect(known()).not.toContain('for nothing')

    const used = join(home, 'used for letters')
    mkdirSync(join(used, 'sources'), { recursive: true })
    writeFileSync(join(used, 'sources', 'letter.txt'), 'Dear Ada,')
    expect(await zigma('import', source, '--project', used, '--size', '13')).toMatchObject({ code: 2 })
    expect(readdirSync(used)).toEqual(['sources'])
    expect(readFileSync(join(used, 'sources', 'letter.txt'), 'utf8')).toBe('Dear Ada,')

    const there = join(home, 'there before')
    await zigma('import', source, '--project', there, '--size', '16')
    expect(await zigma('import', missing, '--project', there)).toMatchObject({ code: 2 })
    expect(existsSync(join(there, 'project.json'))).toBe(true)
    expect(known()).toContain('there before')
  })

  test('exports what a query finds, for another program, and refuses to write over it', async () => {
    const [project, out] = [join(home, 'to export'), join(home, 'exports', 'colors')]
    await zigma('import', source, '--project', project, '--size', '16')
    const args = ['export', '--project', project, '--layout', 'imagefolder', '--out', out, '--query', 'color', '--json']
    const exported = await zigma(...args)
    expect(exported).toMatchObject({ code: 0 })
    expect(JSON.parse(exported.stdout)).toMatchObject({ folder: out, layout: 'imagefolder', pixels: 'training', items: 4, leftOut: [] })
    expect(globSync('**/*.png', { cwd: out })).toHaveLength(4)
    const again = await zigma(...args)
    expect(again).toMatchObject({ code: 2, stderr: expect.stringContaining('is not empty') as string })
    expect(JSON.parse(again.stdout)).toMatchObject({ error: { code: 'already-exists' } })
  })

  test('cuts videos into clips and says what became of each', async () => {
    const videos = join(home, 'videos')
    mkdirSync(videos)
    makePattern(join(videos, 'a pattern.mp4'), { frames: 20 })
    writeFileSync(join(videos, 'broken.mp4'), 'not a video')
    const cut = await zigma('clips', videos, '--project', join(home, 'clips'), '--size', '16', '--frames', '8', '--json')
    expect(cut).toMatchObject({ code: 0 })
    expect(JSON.parse(cut.stdout)).toMatchObject({
      totals: { found: 2, used: 0, partial: 1, rejected: 1 },
      clips: 2,
      videos: [
        { source: 'a pattern.mp4', frames: 20, usedFrames: 16 },
        { source: 'broken.mp4', reason: 'unsupported-format' },
      ],
    })
  })

  test('ends in good order with code 130 on Ctrl+C, which reaches every process of a terminal, and --resume ends what was begun', async () => {
    const project = join(home, 'interrupted')
    await zigma('import', source, '--project', project, '--size', '16')
    const recipe = join(home, 'long.json')
    writeFileSync(recipe, JSON.stringify({ ...(await smallRecipe()), validateEvery: 1, checkpointEvery: 100_000 }))
    const args = ['train', '--project', project, '--recipe', recipe, '--steps', '1500']
    const child = spawn(process.execPath, [cli, ...args], { env, detached: true })
    const code = await new Promise((resolve) => {
      child.on('exit', resolve)
      const training = () => globSync(join(project, 'runs/*/metrics.jsonl')).some((file) => readFileSync(file, 'utf8').includes('"step":1'))
      const waiting = setInterval(() => {
        if (!training()) return
        clearInterval(waiting)
        process.kill(-child.pid!, 'SIGINT')
      }, 10)
    })
    expect(code).toBe(130)
    expect(existsSync(join(project, '.lock'))).toBe(false)
    const [runId] = readdirSync(join(project, 'runs')) as [string]
    const [checkpoint] = readdirSync(join(project, 'runs', runId, 'checkpoints')) as [string]
    const step = Number(checkpoint.slice('step-'.length))
    expect(step).toBeGreaterThan(0)
    expect(step).toBeLessThan(1500)
    const resumed = await zigma('train', '--project', project, '--resume', runId, '--json')
    expect(resumed).toMatchObject({ code: 0 })
    expect(JSON.parse(resumed.stdout)).toMatchObject({ id: runId, state: 'finished', step: 1500 })
  })

  test.each([
    ['an unknown preset', ['train', '--project', 'P', '--preset', 'huge'], 2, 'There is no preset "huge". Choose one of tiny'],
    ['a demo of latents', ['demo', '--out', 'P', '--preset', 'zigzag8_b1_pe2'], 2, 'Choose tiny, small or fine.'],
    ['a demo of no preset', ['demo', '--out', 'P', '--preset', 'huge'], 2, 'There is no preset "huge". Choose one of tiny'],
    ['a demo of a size that patches do not fill', ['demo', '--out', 'P', '--size', '30'], 2, 'Choose 32.'],
    ['neither preset nor recipe', ['train', '--project', 'P'], 2, 'Give either --preset NAME or --recipe FILE.'],
    ['a recipe that is not there', ['train', '--project', 'P', '--recipe', '/no/file'], 2, 'The recipe "/no/file" cannot be read.'],
    ['a source that is not there', ['import', '/no/such/folder', '--project', 'P'], 2, 'cannot be read'],
    ['clips of no frames', ['clips', '/no/such/folder', '--project', 'P', '--frames', '0'], 2, '--frames'],
    ['a size no network takes', ['import', 'sample', '--project', 'P', '--size', '17'], 2, 'multiples of 8'],
    ['a project without a model', ['sample', '--project', 'P'], 2, 'The project has no trained model yet.'],
    ['steps that are no number', ['train', '--project', 'P', '--steps', 'many'], 2, '--steps "many" must be a whole number'],
    ['a folder without reference files', ['parity', '/no/such/folder'], 2, '/no/such/folder'],
    ['a layout that nobody reads', ['export', '--project', 'P', '--out', 'P', '--layout', 'zip'], 2, 'Allowed choices are webdataset'],
    ['an export of no project', ['export', '--project', '/no/such/folder', '--out', 'P', '--layout', 'kohya'], 2, 'There is no project in'],
    ['a project where a file is', ['import', 'sample', '--project', cli], 2, 'because a file is in its place. Choose another folder.'],
    ['a project beneath a file', ['import', 'sample', '--project', join(cli, 'study')], 2, 'because a file is in its place.'],
    ['an unknown command', ['paint'], 2, "unknown command 'paint'"],
  ])('says in one sentence what is wrong with %s', async (_what, args, code, sentence) => {
    const ended = await zigma(...args.map((arg) => (arg === 'P' ? join(home, 'wrong') : arg)))
    expect(ended.stderr).toContain(sentence)
    expect(ended.code).toBe(code)
    expect(ended.stdout).toBe('')
  })

  test('with --json an error is a document too', async () => {
    const { code, stdout } = await zigma('train', '--project', join(home, 'wrong'), '--preset', 'huge', '--json')
    expect(code).toBe(2)
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'invalid-request' } })
  })

  test.each([
    ['parity', home],
    ['bench', 'cpu'],
  ])('%s without its native library names the file and what to do', async (...args) => {
    const missing = join(home, 'no native files')
    const { code, stdout, stderr } = await zigmaWith({ ZIGMA_NATIVE: missing }, ...args, '--json')
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'native-missing' } })
    expect(stderr).toBe(`The native file ${join(missing, 'libonnxruntime.so.1')} is missing. Run \`node scripts/setup.mjs\` to build it.\n`)
    expect(code).toBe(1)
  })

  test('doctor says no where something is missing, and what to do about it', async () => {
    const well = await zigma('doctor', '--json')
    expect((JSON.parse(well.stdout) as { ok: boolean }).ok).toBe(well.code === 0)
    const { code, stdout, stderr } = await zigmaWith({ ZIGMA_NATIVE: join(home, 'no native files') }, 'doctor', '--json')
    const engine = expect.objectContaining({ name: 'engine', ok: false, remedy: 'node scripts/setup.mjs' }) as object
    expect(JSON.parse(stdout)).toMatchObject({ ok: false, findings: expect.arrayContaining([engine]) as object[] })
    expect(stderr).toBe('Not well: engine.\n')
    expect(code).toBe(3)
  })

  test('says what the exit codes mean', async () => {
    const { code, stdout } = await zigma('--help')
    expect(code).toBe(0)
    expect(stdout).toContain('0 done · 1 failed · 2 the request cannot be done as it is · 3 a check said no · 130 interrupted')
  })
})

describe('zigma parity', { timeout: 60_000 }, () => {
  // One token, two channels, one state: delta + bias is 0.5 and 1, so h = delta B u is 3 and -3, and out = C h + D u.
  const byHand: Record<string, [shape: number[], values: number[]]> = {
    'in.u': [
      [1, 2, 1],
      [2, -1],
    ],
    'in.delta': [
      [1, 2, 1],
      [0.25, 0.75],
    ],
    'in.delta_bias': [[2], [0.25, 0.25]],
    'in.A': [
      [2, 1],
      [-1, -2],
    ],
    'in.B': [[1, 1, 1], [3]],
    'in.C': [[1, 1, 1], [4]],
    'in.D': [[2], [0.25, 1]],
    'in.dout': [
      [1, 2, 1],
      [2, 1],
    ],
    out: [
      [1, 2, 1],
      [12.5, -13],
    ],
    'grad.u': [
      [1, 2, 1],
      [12.5, 13],
    ],
    'grad.delta': [
      [1, 2, 1],
      [48, -12],
    ],
    'grad.delta_bias': [[2], [48, -12]],
    'grad.B': [[1, 1, 1], [4]],
    'grad.C': [[1, 1, 1], [3]],
    'grad.D': [[2], [4, -1]],
  }
  const goldenFile = (tensors: typeof byHand) =>
    writeSafetensors({
      metadata: { delta_softplus: 'false', has_z: 'false' },
      tensors: new Map(Object.entries(tensors).map(([name, [shape, values]]) => [name, storeFloats(new Float32Array(values), shape)])),
    })
  const goldenFolder = (files: Record<string, Uint8Array>) => {
    const folder = temporaryFolder()
    for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes)
    return folder
  }
  const outcomes = ({ stdout }: Ended) =>
    Object.fromEntries(
      (JSON.parse(stdout) as { cases: { file: string; outcome: string }[] }).cases.map(({ file, outcome }) => [file, outcome]),
    )
  const file = 'selective_scan_by_hand.safetensors'

  test('passes a scan of one token that was computed by hand, with its gradients', async () => {
    const { code, stdout } = await zigma('parity', goldenFolder({ [file]: goldenFile(byHand) }))
    expect(stdout).toMatch(new RegExp(`^pass +${file} · output \\S+ · portable \\S+ · gradient \\S+`))
    expect(stdout).toContain('1 passed, 0 failed, 0 skipped')
    expect(code).toBe(0)
  })

  test.each([
    ['an output', 'out', [12.501, -13]],
    ['a gradient', 'grad.D', [4, -1.001]],
    ['an input', 'in.C', [4.001]],
  ])('fails the same scan with one number of %s changed, and names the file', async (_what, name, values) => {
    const changed = { ...byHand, [name]: [byHand[name]![0], values] } as typeof byHand
    const ended = await zigma('parity', goldenFolder({ [file]: goldenFile(changed) }), '--json')
    expect(outcomes(ended)).toEqual({ [file]: 'fail' })
    expect(ended.stderr).toContain(`Not equal to the reference: ${file}.`)
    expect(ended.code).toBe(3)
  })

  test('a file that it cannot run is a failure, unless --skip names it; the other files are compared all the same', async () => {
    const broken = goldenFile(byHand).subarray(0, 100)
    const folder = goldenFolder({ [file]: goldenFile(byHand), 'selective_scan_torn.safetensors': broken, 'unheard_of.safetensors': broken })
    const all = await zigma('parity', folder, '--json')
    expect(outcomes(all)).toEqual({
      [file]: 'pass',
      'selective_scan_torn.safetensors': 'cannot-run',
      'unheard_of.safetensors': 'cannot-run',
    })
    expect(all.code).toBe(3)
    expect((await zigma('parity', folder, '--skip', 'torn')).code).toBe(3)
    const skipped = await zigma('parity', folder, '--skip', 'torn,unheard', '--json')
    expect(JSON.parse(skipped.stdout)).toMatchObject({ passed: 1, failed: 0, skipped: 2 })
    expect(skipped.code).toBe(0)
  })
})

async function smallRecipe(): Promise<object> {
  const { presets } = await import('#engine/presets.ts')
  const { recipe } = presets[0]!
  return {
    ...recipe,
    model: { ...recipe.model, height: 16, width: 16, embedDim: 32, depth: 2 },
    batchSize: 2,
    samplePrompts: [],
    preset: null,
  }
}
