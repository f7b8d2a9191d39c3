import type { LedgerState, LedgerTotals } from '#contracts/dataset.ts'
import type { ItemId } from '#contracts/project.ts'
import { readLineAt, readLines } from '../store/line-reader.ts'
import { sha256 } from '../store/safe-fs.ts'
import { ledgerLine, type LedgerLine } from './dataset-files.ts'

/** What an import must remember of one file, so that 100,000 of them take little memory. */
interface Remembered {
  /** sha256 of the file; null where it could not be read. */
  fileHash: string | null
  state: LedgerState
  reason: LedgerLine['reason']
  item: { width: number; height: number; copied: string | undefined } | null
  /** Fingerprint of all that is said of the item. */
  said: string
  /** Where the whole line lies. */
  offset: number
}

/** The ledger as an import sees it: what is known of the files of its source, and which pictures the data set has. */
export class LedgerIndex {
  /** Items of all sources, with the name of the file they came from. */
  readonly known = new Map<ItemId, string>()
  /** The first shard that no line speaks of. */
  nextShard = 0
  readonly #path: string
  readonly #here = new Map<string, Remembered>()
  readonly #totals: LedgerTotals = { found: 0, used: 0, partial: 0, rejected: 0 }

  private constructor(path: string) {
    this.#path = path
  }

  static async read(path: string, root: string): Promise<LedgerIndex> {
    const index = new LedgerIndex(path)
    const last = new Map<string, ItemId>()
    for await (const { text, offset } of readLines(path)) {
      const line = ledgerLine.parse(JSON.parse(text))
      const key = sha256(`${line.root}\n${line.source}`).slice(0, 20)
      const before = last.get(key)
      if (before !== undefined && before !== line.item?.id && index.known.get(before) === line.source) index.known.delete(before)
      if (line.item) {
        last.set(key, line.item.id)
        index.known.set(line.item.id, line.source)
        index.nextShard = Math.max(index.nextShard, line.item.shard + 1)
      }
      if (line.root === root) index.#remember(line, offset)
    }
    return index
  }

  before(source: string): Remembered | null {
    return this.#here.get(source) ?? null
  }

  /** The whole line that was remembered. */
  async line({ offset }: Remembered): Promise<LedgerLine> {
    return ledgerLine.parse(JSON.parse(await readLineAt(this.#path, offset)))
  }

  /** Takes a line into account whose file does not come again in this import, so that nothing more of it need be remembered. */
  add(line: LedgerLine): void {
    if (line.item) this.known.set(line.item.id, line.source)
    this.#count(line)
    this.#here.delete(line.source)
  }

  /** Another list has the last word on a file: what was said of it here does not count. */
  leaveTo(source: string): void {
    const before = this.#here.get(source)
    if (!before) return
    this.#totals[before.state]--
    this.#totals.found--
    this.#here.delete(source)
  }

  /** Of the files of this source. */
  totals(): LedgerTotals {
    return { ...this.#totals }
  }

  #remember(line: LedgerLine, offset: number): void {
    const { source, fileHash, state, reason, item } = line
    this.#count(line)
    const kept = item && { width: item.width, height: item.height, copied: item.copied }
    this.#here.set(source, { fileHash, state, reason, item: kept, said: saidHash(line), offset })
  }

  /** Only the last word on a file counts. */
  #count({ source, state }: LedgerLine): void {
    const before = this.#here.get(source)
    if (before) this.#totals[before.state]--
    else this.#totals.found++
    this.#totals[state]++
  }
}

type Saying = Pick<LedgerLine, 'state' | 'reason' | 'detail'> & { item: Partial<NonNullable<LedgerLine['item']>> | null }

/** Equal for two lines that say the same of the same pixels. */
export function saidHash({ state, reason, detail, item }: Saying): string {
  const { caption, captions, tags, split, repeats, concept, author, licence, origin, copied } = item ?? {}
  return sha256(
    JSON.stringify([state, reason, detail, caption, captions, tags, split, repeats, concept, author, licence, origin, copied]),
  ).slice(0, 16)
}
