import { PictureError } from '../picture.ts'
import { captionKeys, decodeText, factColumns, numberColumns, sayRecord, tagKeys, texts } from './caption.ts'
import { csvRows } from './csv.ts'
import { folderOf, quoted, type FileTree } from './file-tree.ts'
import { parquetRows } from './parquet.ts'
import type { RefusedItem, Remark, Said } from './source-item.ts'

export const metadataNames = ['metadata.jsonl', 'metadata.csv', 'metadata.parquet']
const listLimitBytes = 256 * 1024 * 1024
const toldLimit = 100
const rowsLimit = 2_000_000

export function isMetadata(name: string): boolean {
  return metadataNames.includes(name.slice(name.lastIndexOf('/') + 1))
}

/** What the metadata files of a tree say of its files, and what is wrong with them. */
export class MetadataList {
  /** Full name of a file -> its row as JSON; text takes less memory than what it means. */
  readonly #rows = new Map<string, string>()
  readonly #named = new Map<string, string>()
  readonly #seen = new Set<string>()
  readonly #told: RefusedItem[] = []

  static async read(tree: FileTree): Promise<MetadataList> {
    const list = new MetadataList()
    for await (const file of tree.files()) {
      if (!file.refused && isMetadata(file.name)) await list.#readFile(file.name, () => file.read(listLimitBytes))
    }
    return list
  }

  said(name: string): Said | null {
    const row = this.#rows.get(name)
    if (row === undefined) return null
    this.#seen.add(name)
    return sayRecord(JSON.parse(row), `the list of "${name}"`)
  }

  /** To be asked after all files were: rows that cannot be used, and rows of files that are not there. */
  *told(): Generator<RefusedItem> {
    const missing = [...this.#rows.keys()].filter((name) => !this.#seen.has(name))
    yield* this.#told
    yield* first(missing).map((name) => ({
      source: this.#named.get(name)!,
      refused: { reason: 'file-missing' as const, detail: `It names ${quoted(name)}, and there is no such picture in the source.` },
    }))
    if (missing.length > toldLimit)
      yield {
        source: `${missing.length - toldLimit} more rows of metadata`,
        refused: {
          reason: 'file-missing',
          detail: `They name pictures that are not in the source, ${quoted(missing[toldLimit]!)} among them.`,
        },
      }
  }

  async #readFile(name: string, read: () => Promise<Uint8Array>): Promise<void> {
    const broken: { count: number; told: [where: string, what: string][] } = { count: 0, told: [] }
    const reject = (where: string, what: string) => {
      if (++broken.count <= toldLimit) broken.told.push([where, what])
    }
    const unused = new Set<string>()
    try {
      const bytes = await read()
      for await (const { where, row, broken: what } of name.endsWith('.parquet') ? parquet(bytes) : lines(name, bytes)) {
        const file = row?.file_name
        if (this.#rows.size >= rowsLimit)
          throw new PictureError(
            'metadata-broken',
            `The list has more than ${rowsLimit.toLocaleString('en')} rows; what follows is not read. Split it.`,
          )
        if (what !== null) reject(where, what)
        else if (typeof file !== 'string' || file === '') reject(where, 'it names no file in "file_name"')
        else {
          const said: Record<string, string[] | number> = {}
          for (const [column, value] of Object.entries(row!)) {
            if (column === 'file_name' || value === null || value === undefined) continue
            if (numberColumns.get(column)?.(Number(value))) said[column] = Number(value)
            else if (isUsed(column) && texts(value).length > 0) said[column] = texts(value)
            else unused.add(column)
          }
          const full = [folderOf(name), file.replace(/^\.\//, '')].filter(Boolean).join('/')
          this.#rows.set(full, JSON.stringify(said))
          this.#named.set(full, `${name}, ${where}`)
        }
      }
    } catch (error) {
      const why = error instanceof PictureError ? error.message : `The file is damaged (${(error as Error).message.slice(0, 100)}).`
      this.#told.push({ source: name, refused: { reason: 'metadata-broken', detail: why } })
    }
    for (const [where, what] of broken.told) this.#told.push({ source: `${name}, ${where}`, refused: notUsed(what) })
    if (broken.count > toldLimit)
      this.#told.push({ source: `${name}, ${broken.count - toldLimit} more rows`, refused: notUsed('they are broken too') })
    if (unused.size > 0) {
      const columns = [...unused].slice(0, 10).map(quoted).join(', ')
      const detail = `The columns ${columns}${unused.size > 10 ? ` and ${unused.size - 10} more` : ''} are not used.`
      this.#told.push({ source: `${name}, columns`, refused: { reason: 'not-used', detail } })
    }
  }
}

function isUsed(column: string): boolean {
  return captionKeys.includes(column) || tagKeys.includes(column) || factColumns.has(column)
}

function notUsed(what: string): Remark {
  return { reason: 'metadata-broken', detail: `The row is not used: ${what}. Correct or remove it.` }
}

function first<T>(values: readonly T[]): T[] {
  return values.slice(0, toldLimit)
}

interface Row {
  where: string
  row: Record<string, unknown> | null
  broken: string | null
}

function* lines(name: string, bytes: Uint8Array): Generator<Row> {
  const text = decodeText(bytes)
  if (text === null) throw new PictureError('metadata-broken', 'The file is not UTF-8 text. Save it as UTF-8.')
  yield* name.endsWith('.csv') ? csvLines(text) : jsonLines(text)
}

function* jsonLines(text: string): Generator<Row> {
  let number = 1
  for (let at = 0; at < text.length; number++) {
    const end = text.indexOf('\n', at)
    const line = text.slice(at, end < 0 ? text.length : end)
    if (line.trim() !== '') yield { where: `line ${number}`, ...jsonRow(line) }
    at = end < 0 ? text.length : end + 1
  }
}

function jsonRow(line: string): Omit<Row, 'where'> {
  try {
    const row: unknown = JSON.parse(line)
    const isRecord = typeof row === 'object' && row !== null && !Array.isArray(row)
    return isRecord ? { row: row as Record<string, unknown>, broken: null } : { row: null, broken: 'it is not a record' }
  } catch {
    return { row: null, broken: 'it is not JSON' }
  }
}

function* csvLines(text: string): Generator<Row> {
  let header: readonly string[] | null = null
  for (const { line, fields, broken } of csvRows(text)) {
    const where = `line ${line}`
    if (!header) {
      header = fields
      if (!header.includes('file_name')) throw new PictureError('metadata-broken', 'The first line has no column "file_name". Add one.')
    } else if (broken !== null || fields.length !== header.length) {
      yield { where, row: null, broken: broken ?? `it has ${fields.length} fields and the first line ${header.length}` }
    } else yield { where, row: Object.fromEntries(header.map((column, i) => [column, fields[i]])), broken: null }
  }
}

async function* parquet(bytes: Uint8Array): AsyncGenerator<Row> {
  let number = 0
  for await (const row of parquetRows(bytes, ['file_name', ...captionKeys, ...tagKeys, ...factColumns, ...numberColumns.keys()]))
    yield { where: `row ${++number}`, row, broken: null }
}
