import { defineStore } from 'pinia'
import { ref, watch } from 'vue'
import type { DatasetItem } from '#contracts/dataset.ts'
import { call } from '../client/studio-client.ts'
import { usePaged } from '../composables/paged.ts'
import { nothing, type Selection } from '../composables/selection.ts'
import { attempt } from '../composables/toasts.ts'
import { useDataset } from './dataset.ts'
import { useStudio } from './studio.ts'

const typingMs = 150

/** What the Curate stage shows of the data set: the items that a query finds, page by page, and which of them are meant. */
export const useCuration = defineStore('curation', () => {
  const studio = useStudio()
  const dataset = useDataset()
  const text = ref('')
  const selection = ref<Selection>(nothing)
  /** The place that the arrow keys move. */
  const active = ref<number | null>(null)
  /** Where the grid was left, to come back to it. */
  const scrollTop = ref(0)

  const items = usePaged<DatasetItem>(
    (offset, limit, options) => call('dataset.items', { offset, limit, text: text.value }, options),
    (error) =>
      void attempt(async () => {
        throw error
      }),
  )

  function startOver(): void {
    ;[selection.value, active.value, scrollTop.value] = [nothing, null, 0]
    if (studio.current) void attempt(() => items.reload({ toTop: true }))
  }
  let typing = 0
  watch(text, () => {
    clearTimeout(typing)
    typing = window.setTimeout(startOver, typingMs)
  })
  watch(() => studio.current?.id, startOver, { immediate: true })
  watch(
    () => dataset.revision,
    () => studio.current && void attempt(() => items.reload()),
  )

  return { text, selection, active, scrollTop, items }
})
