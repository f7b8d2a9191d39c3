import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { PictureError } from '../picture.ts'

export interface ParquetWork {
  bytes: Uint8Array
  /** The columns that are read. */
  wanted: readonly string[]
}

/** Some rows: the texts of the wanted columns, and the names of all others. */
export interface ParquetAnswer {
  rows: [column: string, text: string | string[] | null][][]
  others: string[]
}

const secondsEnough = 30
const memoryMegabytes = 1024

/**
 * The rows of a Parquet table: texts of the wanted columns, and all other columns by name. A thread of its own reads them under limits of
 * time and memory: the format can be made to keep its reader busy for hours.
 *
 * @param secondsLimit of each ten thousand rows.
 * @throws PictureError metadata-broken when it is damaged or takes too long.
 */
export async function* parquetRows(
  bytes: Uint8Array,
  wanted: readonly string[],
  secondsLimit = secondsEnough,
): AsyncGenerator<Record<string, unknown>> {
  const worker = new Worker(workerFile(), {
    workerData: { bytes, wanted } satisfies ParquetWork,
    resourceLimits: { maxOldGenerationSizeMb: memoryMegabytes },
  })
  try {
    for (;;) {
      const answer = await ask(worker, secondsLimit)
      if (answer === null) return
      if (typeof answer === 'string') throw damaged(answer)
      const others = Object.fromEntries(answer.others.map((name) => [name, 0]))
      for (const row of answer.rows) yield { ...others, ...Object.fromEntries(row) }
    }
  } finally {
    await worker.terminate()
  }
}

async function ask(worker: Worker, secondsLimit: number): Promise<ParquetAnswer | string | null> {
  worker.postMessage('next')
  const signal = AbortSignal.timeout(secondsLimit * 1000)
  try {
    const [answer] = (await once(worker, 'message', { signal })) as [ParquetAnswer | string | null]
    return answer
  } catch (error) {
    throw damaged(signal.aborted ? `reading it takes more than ${secondsLimit} seconds` : (error as Error).message)
  }
}

function damaged(why: string): PictureError {
  return new PictureError('metadata-broken', `The table is damaged (${why.split('\n')[0]!.slice(0, 100)}). Write it anew.`)
}

/** Beside this file, as a source or bundled. */
function workerFile(): string {
  const source = join(import.meta.dirname, 'parquet-worker.ts')
  return existsSync(source) ? source : join(import.meta.dirname, 'parquet-worker.cjs')
}
