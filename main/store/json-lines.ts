import { readFile } from 'node:fs/promises'
import type { z } from 'zod'
import { isCode } from './safe-fs.ts'

/** One JSON value a line. */
export function jsonLines(values: readonly unknown[]): string {
  return values.map((value) => `${JSON.stringify(value)}\n`).join('')
}

/** The values of a file of JSON lines; none when there is no file. A last line that a crash cut short is left out. */
export async function readJsonLines<T extends z.ZodType>(path: string, schema: T): Promise<z.output<T>[]> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (isCode(error, 'ENOENT')) return ''
    throw error
  })
  const complete = text.slice(0, text.lastIndexOf('\n') + 1)
  return complete.split('\n').flatMap((line) => (line === '' ? [] : [schema.parse(JSON.parse(line))]))
}
