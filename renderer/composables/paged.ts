import { ref, shallowRef, triggerRef } from 'vue'

export interface Page<T> {
  total: number
  items: T[]
}

/** A list too long to be loaded: the pages that are looked at, and how long it is. */
export interface Paged<T> {
  total: () => number
  /** False until the first page is there. */
  loaded: () => boolean
  /** The item at a place of the list; null while its page is not here. */
  at: (index: number) => T | null
  /** The items that are here, in no order. */
  here: () => T[]
  /** These places are looked at now: their pages are fetched, those asked for before and no longer wanted are given up. */
  look: (first: number, last: number) => void
  /** The items of a stretch, fetched where they are not here. */
  stretch: (first: number, last: number) => Promise<T[]>
  /** Fetches anew what is looked at; what was there stays to be seen until the answer comes. `toTop` forgets where one was. */
  reload: (options?: { toTop: boolean }) => Promise<void>
  /** Puts changed items in the place of those with their ids. */
  replace: (items: readonly T[]) => void
}

const usualPage = 200
const keptPages = 40
const settleMs = 60

export function usePaged<T extends { id: string }>(
  fetch: (offset: number, limit: number, options: { signal: AbortSignal }) => Promise<Page<T>>,
  onProblem: (error: unknown) => void,
  pageSize = usualPage,
): Paged<T> {
  const total = ref(0)
  const loaded = ref(false)
  const pages = shallowRef(new Map<number, readonly T[]>())
  let asked = new Map<number, AbortController>()
  let looked = { first: 0, last: 0 }
  let lookedAt = 0
  let timer = 0
  let generation = 0

  async function load(page: number): Promise<readonly T[]> {
    const abort = new AbortController()
    const mine = generation
    asked.set(page, abort)
    try {
      const answer = await fetch(page * pageSize, pageSize, { signal: abort.signal })
      if (mine !== generation) return answer.items
      pages.value.delete(page) // the newest last
      pages.value.set(page, answer.items)
      const [oldest] = pages.value.keys()
      if (pages.value.size > keptPages && oldest !== undefined) pages.value.delete(oldest)
      ;[total.value, loaded.value] = [answer.total, true]
      triggerRef(pages)
      return answer.items
    } finally {
      if (asked.get(page) === abort) asked.delete(page)
    }
  }
  const loadQuietly = (page: number) =>
    load(page).catch((error: unknown) => {
      if (!(error instanceof Error && 'code' in error && error.code === 'cancelled')) onProblem(error)
    })

  const wanted = () => {
    const [first, last] = [Math.floor(looked.first / pageSize), Math.floor(looked.last / pageSize)]
    const all = Array.from({ length: last - first + 1 }, (_, i) => first + i).filter((page) => page * pageSize < total.value)
    return all.length > 0 ? all : [0]
  }
  function fetchWanted(): void {
    const pagesWanted = wanted()
    for (const [page, abort] of asked) if (!pagesWanted.includes(page)) abort.abort()
    for (const page of pagesWanted) if (!pages.value.has(page) && !asked.has(page)) void loadQuietly(page)
  }

  return {
    total: () => total.value,
    loaded: () => loaded.value,
    at: (index) => pages.value.get(Math.floor(index / pageSize))?.[index % pageSize] ?? null,
    here: () => [...pages.value.values()].flat(),
    look(first, last) {
      looked = { first, last }
      const now = performance.now()
      const isFast = now - lookedAt < settleMs
      lookedAt = now
      clearTimeout(timer)
      if (isFast)
        timer = window.setTimeout(fetchWanted, settleMs) // what only flies by is not fetched
      else fetchWanted()
    },
    async stretch(first, last) {
      const found: T[] = []
      for (let page = Math.floor(first / pageSize); page <= Math.floor(last / pageSize); page++) {
        const items = pages.value.get(page) ?? (await load(page))
        found.push(...items.slice(Math.max(0, first - page * pageSize), last - page * pageSize + 1))
      }
      return found
    },
    async reload({ toTop } = { toTop: false }) {
      const mine = ++generation
      for (const abort of asked.values()) abort.abort()
      asked = new Map()
      if (toTop) looked = { first: 0, last: 0 }
      const { signal } = new AbortController()
      const fresh = await Promise.all(wanted().map(async (page) => [page, await fetch(page * pageSize, pageSize, { signal })] as const))
      if (mine !== generation) return
      pages.value = new Map(fresh.map(([page, { items }]) => [page, items]))
      ;[total.value, loaded.value] = [fresh[0]![1].total, true]
      fetchWanted()
    },
    replace(items) {
      const changed = new Map(items.map((item) => [item.id, item]))
      for (const [page, old] of pages.value)
        if (old.some(({ id }) => changed.has(id)))
          pages.value.set(
            page,
            old.map((item) => changed.get(item.id) ?? item),
          )
      triggerRef(pages)
    },
  }
}
