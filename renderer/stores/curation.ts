import { defineStore } from 'pinia'
import { computed, ref, shallowRef, watch } from 'vue'
import type {
  CurationChange,
  CurationFilter,
  CurationHistory,
  CurationItem,
  CurationTarget,
  EditOutcome,
  KeepOutcome,
  KeepRequest,
  MarksChange,
  SortKey,
} from '#contracts/curation.ts'
import { StudioError } from '#contracts/errors.ts'
import type { ItemId } from '#contracts/project.ts'
import { call, onNews } from '../client/studio-client.ts'
import { usePaged } from '../composables/paged.ts'
import { isSelected, nothing, type Selection } from '../composables/selection.ts'
import { attempt } from '../composables/toasts.ts'
import { useDataset } from './dataset.ts'
import { mirrorProject } from './project-mirror.ts'
import { useStudio } from './studio.ts'

const typingMs = 200

/** How many items an edit changed, and how many clips it left as they are because crops are for pictures. */
export type Done = Pick<EditOutcome, 'changed' | 'uncropped'>

/** What the Curate stage shows of the data set: the items that a query finds, page by page, and which of them are meant. */
export const useCuration = defineStore('curation', () => {
  const studio = useStudio()
  const text = ref('')
  const sort = ref<SortKey>('added')
  const descending = ref(false)
  /** What is wrong with the query. */
  const problem = shallowRef<StudioError | null>(null)
  const selection = ref<Selection>(nothing)
  /** The place that the arrow keys move. */
  const active = ref<number | null>(null)
  /** Where the grid was left, to come back to it. */
  const scrollTop = ref(0)
  const history = ref<CurationHistory>({ undo: null, redo: null })
  /** Goes up when anything about the items may have changed. */
  const revision = ref(0)

  const filter = computed<CurationFilter>(() => ({ text: text.value, buckets: [] }))
  const items = usePaged<CurationItem>(async (offset, limit, options) => {
    const query = { filter: filter.value, sort: sort.value, descending: descending.value, offset, limit }
    const page = await call('curation.query', query, options)
    problem.value = null
    return page
  }, tell)

  /** A mistake in the query stands under it; anything else is an error like others. */
  function tell(error: unknown): void {
    if (error instanceof StudioError && error.code === 'invalid-request') problem.value = error
    else
      void attempt(async () => {
        throw error
      })
  }
  const reload = (options?: { toTop: boolean }) => studio.current && void items.reload(options).catch(tell)

  let typing = 0
  function startOver(): void {
    ;[selection.value, active.value, scrollTop.value] = [nothing, null, 0]
    reload({ toTop: true })
  }
  watch(text, () => {
    clearTimeout(typing)
    typing = window.setTimeout(startOver, typingMs)
  })
  watch([sort, descending], startOver)
  mirrorProject(async (id) => {
    startOver()
    revision.value++
    if (id) history.value = await call('curation.history', null)
  })
  const dataset = useDataset() // from here on: the studio answers in turn, and counting a data set takes longer than its first page
  let waiting = 0
  let turn: Promise<unknown> = Promise.resolve()
  watch(
    () => dataset.changes,
    () => {
      revision.value++
      if (waiting === 0) reload()
    },
  )
  onNews('curation.changed', (news) => {
    history.value = news.history
    revision.value++
    if (waiting === 0) reload()
  })

  const target = (): CurationTarget =>
    selection.value.kind === 'ids'
      ? { kind: 'ids', ids: [...selection.value.ids] as ItemId[] }
      : { kind: 'query', filter: filter.value, except: [...selection.value.except] as ItemId[] }

  /** One edit after the other, and what is seen is read anew after the last: marks that were just set do not flicker. */
  function inTurn<Outcome extends EditOutcome>(work: () => Promise<Outcome | null>): Promise<Outcome | null> {
    waiting++
    const mine = turn.then(work).then((outcome) => {
      if (outcome) history.value = outcome.history
      return outcome
    })
    turn = mine
      .catch(() => undefined) // its caller hears of it
      .then(() => {
        if (--waiting === 0) reload()
      })
    return mine
  }
  const done = (outcome: EditOutcome | null): Done => ({ changed: outcome?.changed ?? 0, uncropped: outcome?.uncropped ?? 0 })
  /** Changes all that is selected, or another target; gives how many items it changed. */
  async function edit(change: CurationChange, on: CurationTarget = target()): Promise<Done> {
    return done(await inTurn(() => call('curation.edit', { target: on, change })))
  }
  /** Decides about duplicates. */
  const keep = (request: KeepRequest): Promise<KeepOutcome | null> => inTurn(() => call('curation.keep', request))
  /** Marks on all that is selected; those in sight change at once. */
  function mark(marks: Pick<MarksChange, 'rating' | 'pick'>): Promise<Done> {
    const seen = items.here().filter(({ id }) => isSelected(selection.value, id))
    items.replace(seen.map((item) => ({ ...item, rating: marks.rating ?? item.rating, pick: marks.pick ?? item.pick })))
    return edit({ kind: 'set', marks })
  }
  const undo = async () => done(await inTurn(async () => (history.value.undo ? call('curation.undo', null) : null)))
  const redo = async () => done(await inTurn(async () => (history.value.redo ? call('curation.redo', null) : null)))

  return {
    ...{ text, sort, descending, filter, problem, selection, active, scrollTop, history, revision, items },
    ...{ target, mark, edit, keep, undo, redo },
  }
})
