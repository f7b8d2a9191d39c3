import { defineStore } from 'pinia'
import { ref, watch } from 'vue'
import type { GalleryItem, GenerationRequest } from '#contracts/gallery.ts'
import type { PictureId } from '#contracts/project.ts'
import { call, onNews } from '../client/studio-client.ts'
import { useStudio } from './studio.ts'

const pageSize = 200

/** Pictures of the open project, newest first, loaded page by page. */
export const useGallery = defineStore('gallery', () => {
  const studio = useStudio()
  const items = ref<GalleryItem[]>([])
  const total = ref(0)
  const text = ref('')
  const minRating = ref(0)
  /** Settings that "Reuse settings" hands to the Generate stage. */
  const reused = ref<GenerationRequest | null>(null)
  let loading = false

  const query = (offset: number) => ({ text: text.value, minRating: minRating.value, offset, limit: pageSize })

  async function reload(): Promise<void> {
    if (!studio.current) {
      ;[items.value, total.value] = [[], 0]
      return
    }
    const page = await call('gallery.list', query(0))
    ;[items.value, total.value] = [page.items, page.total]
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

  watch([() => studio.current?.id, text, minRating], () => void reload(), { immediate: true })
  onNews('gallery.added', (item) => {
    if (text.value !== '' || minRating.value > 0 || items.value.some(({ id }) => id === item.id)) return
    items.value = [item, ...items.value]
    total.value++
  })
  onNews('gallery.changed', () => void reload())

  const rate = (ids: PictureId[], marks: { rating?: number; pick?: 'none' | 'pick' | 'reject' }) => call('gallery.rate', { ids, ...marks })
  return {
    items,
    total,
    text,
    minRating,
    reused,
    more,
    rate,
    trash: (ids: PictureId[]) => call('gallery.trash', { ids }),
    restore: (ids: PictureId[]) => call('gallery.restore', { ids }),
  }
})
