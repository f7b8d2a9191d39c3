import type { JobId, RunId } from '#contracts/project.ts'
import { recipe, type Recipe } from '#contracts/recipe.ts'
import type { Run } from '#contracts/studio.ts'
import type { Db } from './database.ts'

/** A run as the index knows it; its checkpoints and metrics are read from its folder. */
export type RunRow = Pick<Run, 'id' | 'name' | 'createdAt' | 'jobId' | 'state' | 'snapshot'> & { recipe: Recipe }

export class RunStore {
  readonly #db: Db

  constructor(db: Db) {
    this.#db = db
  }

  add({ id, name, createdAt, jobId, state, snapshot, recipe: settings }: RunRow): void {
    this.#db
      .prepare('INSERT INTO runs (id, name, createdAt, jobId, state, snapshot, recipe) VALUES (?, ?, ?, ?, ?, ?, ?)')
      .run(id, name, createdAt, jobId, state, snapshot, JSON.stringify(settings))
  }

  list(): RunRow[] {
    return this.#db.prepare('SELECT * FROM runs ORDER BY createdAt DESC').all().map(toRun)
  }

  get(id: RunId): RunRow | null {
    const found = this.#db.prepare('SELECT * FROM runs WHERE id = ?').get(id)
    return found ? toRun(found) : null
  }

  setState(id: RunId, state: Run['state']): void {
    this.#db.prepare('UPDATE runs SET state = ? WHERE id = ?').run(state, id)
  }

  /** A run's state follows the job that works on it. */
  follow(id: RunId, jobId: JobId, state: Run['state']): void {
    this.#db.prepare('UPDATE runs SET jobId = ?, state = ? WHERE id = ?').run(jobId, state, id)
  }
}

function toRun(found: unknown): RunRow {
  const row = found as Omit<RunRow, 'recipe'> & { recipe: string }
  return { ...row, recipe: recipe.parse(JSON.parse(row.recipe)) }
}
