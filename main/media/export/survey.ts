import type { ExportedKind } from '#contracts/export.ts'
import { factNames, factOf, kindOf, type ExportItem, type Group, type Survey } from './export-item.ts'

/** A survey of no items, to which they are added one by one. */
export class SurveyCount {
  readonly #kind: ExportedKind
  #items = 0
  readonly #splits: Survey['splits'] = { train: 0, validation: 0, test: 0 }
  readonly #has: Survey['has'] = {
    captions: false,
    tags: false,
    author: false,
    licence: false,
    consent: false,
    origin: false,
    repeats: false,
    concept: false,
  }
  readonly #groups = new Map<string, Group>()

  /** @param kind What the layout holds. */
  constructor(kind: ExportedKind) {
    this.#kind = kind
  }

  add(item: ExportItem): void {
    this.#items++
    if (kindOf(item) !== this.#kind) return
    this.#splits[item.split]++
    for (const name of factNames) this.#has[name] ||= factOf(item, name) !== null
    const { concept } = item
    const repeats = item.repeats ?? 1
    const key = JSON.stringify([concept, repeats])
    const isTrained = item.split === 'train' || (this.#groups.get(key)?.isTrained ?? false)
    this.#groups.set(key, { repeats, concept, isTrained })
  }

  end(rejected: number): Survey {
    const groups = [...this.#groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, group]) => group)
    return { items: this.#items, rejected, splits: this.#splits, has: this.#has, groups }
  }
}
