import { defineStore } from 'pinia'
import { ref } from 'vue'
import type { DatasetSummary } from '#contracts/dataset.ts'
import { call, onNews } from '../client/studio-client.ts'
import { mirrorProject } from './project-mirror.ts'

/**
 * The data set of the open project; `revision` goes up when its items may be others than before, `changes` only when the same project's have changed:
 * what mirrors the project by itself waits for that.
 */
export const useDataset = defineStore('dataset', () => {
  const summary = ref<DatasetSummary | null>(null)
  const revision = ref(0)
  const changes = ref(0)

  mirrorProject(async (id) => {
    summary.value = id ? await call('dataset.describe', null) : null
    revision.value++
  })
  onNews('dataset.changed', (news) => {
    summary.value = news
    revision.value++
    changes.value++
  })

  return { summary, revision, changes }
})
