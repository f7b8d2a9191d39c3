import { defineStore } from 'pinia'
import { computed, ref, watch } from 'vue'
import type { GalleryDay, GalleryFilter, GalleryItem, GalleryTarget } from '#contracts/gallery.ts'
import type { PictureId } from '#contracts/project.ts'
import { call, onNews } from '../client/studio-client.ts'
import { usePaged } from '../composables/paged.ts'
import { isSelected, nothing, only, type Selection } from '../composables/selection.ts'
import { attempt } from '../composables/toasts.ts'
import { mirrorProject } from './project-mirror.ts'
import { useStudio } from './studio.ts'

const recentPictures = 400
const typingMs = 200
const gatherMs = 100

type Marks = Partial<Pick<GalleryItem, 'rating' | 'pick'>>

/** Pictures of the open project, newest first, page by page, and which of them are meant. */
export const useGallery = defineStore('gallery', () => {
  const studio = useStudio()
  const text = ref('')
  const minRating = ref(0)
  const selection = ref<Selection>(nothing)
  /** The place that the arrow keys move. */
  const active = ref<number | null>(null)
  /** Where the grid was left, to come back to it. */
  const scrollTop = ref(0)
  const days = ref<readonly GalleryDay[]>([])
  /** The newest pictures, whatever is looked for. */
  const recent = ref<readonly GalleryItem[]>([])
  const loaded = ref(false)

  const filter = computed<GalleryFilter>(() => ({ text: text.value, minRating: minRating.value, pick: null, trashed: false }))
  const items = usePaged<GalleryItem>(
    (offset, limit, options) => call('gallery.list', { ...filter.value, offset, limit }, options),
    (error) =>
      void attempt(async () => {
        throw error
      }),
  )

  async function reload(options?: { toTop: boolean }): Promise<void> {
    const project = studio.current
    if (!project) return
    const [found, newest] = await Promise.all([
      call('gallery.days', filter.value),
      call('gallery.list', { text: '', minRating: 0, pick: null, trashed: false, offset: 0, limit: recentPictures }),
      items.reload(options),
    ])
    if (studio.current?.id === project.id) [days.value, recent.value, loaded.value] = [found, newest.items, true]
  }
  function startOver(): void {
    ;[selection.value, active.value, scrollTop.value] = [nothing, null, 0]
    void attempt(() => reload({ toTop: true }))
  }
  let timer = 0
  const soon = (act: () => void, ms: number) => {
    clearTimeout(timer)
    timer = window.setTimeout(act, ms)
  }
  /** What is selected stays selected where new pictures push it further down. */
  async function renew(): Promise<void> {
    const kept = active.value === null ? null : items.at(active.value)
    await reload()
    const place = kept && (await call('gallery.place', { id: kept.id, filter: filter.value }))
    if (place !== null) active.value = place
  }
  mirrorProject(async () => {
    loaded.value = false
    startOver()
  })
  watch(text, () => soon(startOver, typingMs))
  watch(minRating, startOver)
  for (const name of ['gallery.added', 'gallery.changed'] as const) onNews(name, () => soon(() => void attempt(renew), gatherMs))

  /** Selects a picture by its id, wherever it stands; false where it is not among those that are found. */
  async function show(id: PictureId): Promise<boolean> {
    const place = await call('gallery.place', { id, filter: filter.value })
    if (place === null) return false
    items.look(place, place)
    ;[active.value, selection.value] = [place, only(id)]
    return true
  }

  const target = (): GalleryTarget =>
    selection.value.kind === 'ids'
      ? { kind: 'ids', ids: [...selection.value.ids] as PictureId[] }
      : { kind: 'query', filter: filter.value, except: [...selection.value.except] as PictureId[] }

  /** Marks all that is selected; those in sight change at once. */
  async function mark(marks: Marks): Promise<number> {
    const seen = items.here().filter(({ id }) => isSelected(selection.value, id))
    items.replace(seen.map((item) => ({ ...item, ...marks })))
    return (await call('gallery.rate', { target: target(), ...marks })).changed
  }
  /** Moves all that is selected to the trash; then the picture that took its place is selected. */
  async function trash(): Promise<number> {
    const { changed } = await call('gallery.trash', { target: target() })
    await reload()
    const total = items.total()
    active.value = active.value === null || total === 0 ? null : Math.min(active.value, total - 1)
    const [next] = active.value === null ? [] : await items.stretch(active.value, active.value)
    selection.value = next ? only(next.id) : nothing
    return changed
  }
  const undo = async () => (await call('gallery.undo', null)).changed

  return { text, minRating, selection, active, scrollTop, days, recent, loaded, items, show, mark, trash, undo }
})
