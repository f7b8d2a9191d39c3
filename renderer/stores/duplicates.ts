import { defineStore } from 'pinia'
import { ref, watch } from 'vue'
import type { CurationItem, DuplicateGroup, DuplicateList, DuplicatesPage } from '#contracts/curation.ts'
import type { ItemId } from '#contracts/project.ts'
import { call } from '../client/studio-client.ts'
import { usePaged } from '../composables/paged.ts'
import { attempt } from '../composables/toasts.ts'
import { useCuration } from './curation.ts'
import { useStudio } from './studio.ts'

const pageSize = 50
/** So many places away a group is looked for that has moved in its list. */
const followed = 12

/** Groups of duplicates of the open project, as they are looked through: one list of them at a time, and which group of it is meant. */
export const useDuplicates = defineStore('duplicates', () => {
  const studio = useStudio()
  const curation = useCuration()
  const list = ref<DuplicateList>('open')
  const active = ref(0)
  const counts = ref<DuplicatesPage['counts']>({ open: 0, leak: 0, all: 0 })
  const unmeasured = ref(0)
  /** The project that is shown; null while nobody looks. */
  const shown = ref<string | null>(null)

  const fail = (error: unknown) =>
    void attempt(async () => {
      throw error
    })
  const groups = usePaged<DuplicateGroup>(
    async (offset, limit, options) => {
      const page = await call('curation.duplicates', { list: list.value, offset, limit }, options)
      ;[counts.value, unmeasured.value] = [page.counts, page.unmeasured]
      return { total: page.total, items: page.groups }
    },
    fail,
    pageSize,
  )
  /** Also where one went on while the list was being read. */
  let meant: ItemId | null = null
  const remember = () => (meant = groups.at(active.value)?.id ?? null)
  watch(active, remember, { flush: 'sync' })
  let newest: Promise<void> = Promise.resolve()
  /**
   * What is seen of the list is read anew. The group that is meant stays meant where others left the list or came back to it; one who stood behind
   * the end stands at it. A reading that a newer one overtakes waits for that.
   */
  async function reload(options?: { toTop: boolean }): Promise<void> {
    if (!studio.current) return
    if (options?.toTop) meant = null
    newest = groups.reload(options)
    for (let mine: Promise<void> | null = null; mine !== newest;) await (mine = newest)
    const around = Array.from({ length: 2 * followed + 1 }, (_, i) => active.value - followed + i)
    const there = meant === null ? undefined : around.find((place) => place >= 0 && groups.at(place)?.id === meant)
    active.value = Math.max(0, Math.min(there ?? active.value, groups.total() - 1))
    remember()
  }
  watch(
    () => curation.revision,
    () => shown.value !== null && void reload().catch(fail),
  )

  /** Another list, from its first group or from that of an item; the whole list where it is in no shorter one. */
  async function show(wanted: DuplicateList, item: ItemId | null = null): Promise<void> {
    const project = studio.current?.id ?? null
    let place: number | null = null
    if (item !== null) ({ place } = await call('curation.duplicatePlace', { id: item, list: wanted }))
    if (item !== null && place === null) {
      ;({ place } = await call('curation.duplicatePlace', { id: item, list: 'all' }))
      wanted = 'all'
    }
    ;[list.value, active.value, shown.value] = [wanted, place ?? 0, project]
    await reload({ toTop: true })
    groups.look(active.value, active.value)
  }
  /** Marks that are seen at once, before the studio has them. */
  function seem(group: DuplicateGroup, marksOf: (item: CurationItem) => Partial<Pick<CurationItem, 'pick' | 'rating'>>): void {
    groups.replace([{ ...group, members: group.members.map((one) => ({ ...one, ...marksOf(one) })) }])
  }

  return { list, active, counts, unmeasured, shown, groups, reload, show, seem }
})
