import { ref, shallowRef, type Ref } from 'vue'

export interface PagedList<T> {
  /** How many lines there are, here or not. */
  total: Readonly<Ref<number>>
  /** The line at `index`; null while it is on its way. */
  at(index: number): T | null
  /** Fetches what is not here yet of lines `first` to `last`. */
  show(first: number, last: number): Promise<void>
  /** Fetches lines `first` to `last` anew; what was here stays in sight until the first of them arrive, and is forgotten then. */
  renew(first: number, last: number): Promise<void>
}

/** A list of any length, of which the pages that come into sight are fetched, each once. A page that could not be fetched is asked for again. */
export function pagedList<T>(
  fetchPage: (offset: number, limit: number) => Promise<{ total: number; entries: readonly T[] }>,
  pageSize: number,
): PagedList<T> {
  const total = ref(0)
  const pages = shallowRef<ReadonlyMap<number, readonly T[]>>(new Map())
  let asked = new Set<number>()
  let outdated = false

  async function load(page: number): Promise<void> {
    const mine = asked
    mine.add(page)
    try {
      const { total: now, entries } = await fetchPage(page * pageSize, pageSize)
      if (asked !== mine) return // renewed since
      pages.value = new Map(outdated ? [] : pages.value).set(page, entries)
      total.value = now
      outdated = false
    } catch (error) {
      mine.delete(page)
      throw error
    }
  }
  async function show(first: number, last: number): Promise<void> {
    const missing: number[] = []
    for (let page = Math.floor(first / pageSize); page <= Math.floor(last / pageSize); page++) if (!asked.has(page)) missing.push(page)
    await Promise.all(missing.map(load))
  }

  return {
    total,
    at: (index) => pages.value.get(Math.floor(index / pageSize))?.[index % pageSize] ?? null,
    show,
    renew: (first, last) => {
      asked = new Set()
      outdated = true
      return show(first, last)
    },
  }
}
