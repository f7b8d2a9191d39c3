import { defineStore } from 'pinia'
import { ref, watch } from 'vue'
import type { GalleryItem } from '#contracts/gallery.ts'
import type { PictureId } from '#contracts/project.ts'
import { call, onNews } from '../client/studio-client.ts'
import { attempt } from '../composables/toasts.ts'
import { mirrorProject } from './project-mirror.ts'
import { useStudio } from './studio.ts'

const pageSize = 200

interface Page {
  items: GalleryItem[]
  total: number
}

/** Pictures of the open project, newest first, loaded page by page. */
export const useGallery = defineStore('gallery', () => {
  const studio = useStudio()
  const items = ref<GalleryItem[]>([])
  const total = ref(0)
  const loaded = ref(false)
  const text = ref('')
  const minRating = ref(0)
  let loading = false

  const query = (offset: number) => ({ text: text.value, minRating: minRating.value, offset, limit: pageSize })

  async function reload(): Promise<void> {
    const wanted = Math.max(pageSize, items.value.length)
    let page: Page = { items: [], total: 0 }
    do {
      const next = studio.current ? await call('gallery.list', query(page.items.length)) : page
      if (next.items.length === 0) break
      page = { items: [...page.items, ...next.items], total: next.total }
    } while (page.items.length < Math.min(wanted, page.total))
    ;[items.value, total.value, loaded.value] = [page.items, page.total, studio.current !== null]
  }

  async function more(): Promise<void> {
    if (loading || items.value.length >= total.value) return
    loading = true
    try {
      const page = await call('gallery.list', query(items.value.length))
      items.value = [...items.value, ...page.items]
    } finally {
      loading = false
    }
  }

  mirrorProject(reload)
  watch([text, minRating], () => void attempt(reload))
  onNews('gallery.added', (item) => {
    if (text.value !== '' || minRating.value > 0 || items.value.some(({ id }) => id === item.id)) return
    items.value = [item, ...items.value]
    total.value++
  })
  onNews('gallery.changed', () => void attempt(reload))

  const rate = (ids: PictureId[], marks: { rating?: number; pick?: 'none' | 'pick' | 'reject' }) => call('gallery.rate', { ids, ...marks })
  return {
    items,
    total,
    loaded,
    text,
    minRating,
    more,
    rate,
    trash: (ids: PictureId[]) => call('gallery.trash', { ids }),
    restore: (ids: PictureId[]) => call('gallery.restore', { ids }),
  }
})
