import { defineStore } from 'pinia'
import { ref, watch } from 'vue'
import type { DatasetSummary } from '#contracts/dataset.ts'
import { call, onNews } from '../client/studio-client.ts'
import { useStudio } from './studio.ts'

/** The data set of the open project; `revision` goes up when its items may have changed. */
export const useDataset = defineStore('dataset', () => {
  const studio = useStudio()
  const summary = ref<DatasetSummary | null>(null)
  const revision = ref(0)

  watch(
    () => studio.current?.id,
    async (id) => {
      summary.value = id ? await call('dataset.describe', null) : null
      revision.value++
    },
    { immediate: true },
  )
  onNews('dataset.changed', (news) => {
    summary.value = news
    revision.value++
  })

  return { summary, revision }
})
