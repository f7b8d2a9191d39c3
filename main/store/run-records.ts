import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { runId } from '#contracts/project.ts'
import { recipe } from '#contracts/recipe.ts'
import type { RunRow } from './run-store.ts'
import { isCode, type SafeFs } from './safe-fs.ts'

const record = z.object({ schema: z.literal(1), id: runId, name: z.string(), createdAt: z.iso.datetime(), snapshot: z.string() })

/** What a run is, apart from how far it has come. */
export type RunRecord = Pick<RunRow, 'id' | 'name' | 'createdAt' | 'snapshot' | 'recipe'>

/** `runs/<id>/run.json` and `recipe.json`: enough to put a run back into a new index and to train it to its end. */
export class RunRecords {
  readonly #folder: string
  readonly #fs: SafeFs

  constructor(runs: string, fs: SafeFs) {
    this.#folder = runs
    this.#fs = fs
  }

  async write({ recipe: settings, ...run }: RunRecord): Promise<void> {
    const folder = join(this.#folder, run.id)
    await this.#fs.folder(folder)
    await this.#fs.writeFile(join(folder, 'recipe.json'), text(settings))
    await this.#fs.writeFile(join(folder, 'run.json'), text({ schema: 1, ...run }))
  }

  /** Every run whose record is there and sound. */
  async readAll(): Promise<RunRecord[]> {
    const runs: RunRecord[] = []
    for (const name of await readdir(this.#folder)) {
      const folder = join(this.#folder, name)
      const run = record.safeParse(await readJson(join(folder, 'run.json'))).data
      const settings = recipe.safeParse(await readJson(join(folder, 'recipe.json'))).data
      if (run?.id !== name || !settings) continue
      const { id, createdAt, snapshot } = run
      runs.push({ id, name: run.name, createdAt, snapshot, recipe: settings })
    }
    return runs
  }
}

async function readJson(path: string): Promise<unknown> {
  const found = await readFile(path, 'utf8').catch((error: unknown) => {
    if (isCode(error, 'ENOENT') || isCode(error, 'ENOTDIR')) return 'null'
    throw error
  })
  try {
    return JSON.parse(found)
  } catch {
    return null // a schema refuses it: such a run is not put back
  }
}

function text(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`
}
