import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import type { ExportRequest } from '#contracts/export.ts'
import type { JobId } from '#contracts/project.ts'
import { call } from '../client/studio-client.ts'
import { mirrorProject } from './project-mirror.ts'
import { useQueue } from './queue.ts'

/** The Export dialog: whether it is open, and the export that it shows. An export goes on when the dialog is closed. */
export const useExporting = defineStore('exporting', () => {
  const queue = useQueue()
  const open = ref(false)
  const jobId = ref<JobId | null>(null)
  const job = computed(() => queue.jobs.find(({ id }) => id === jobId.value) ?? null)

  mirrorProject(async () => {
    ;[open.value, jobId.value] = [false, null]
  })

  async function start(request: ExportRequest): Promise<void> {
    const added = await call('export.start', request)
    jobId.value = added.id
  }
  /** Goes on with an export that is held, or starts one with the settings of the one that failed. */
  async function retry(): Promise<void> {
    if (jobId.value) jobId.value = (await call('queue.retry', { id: jobId.value })).id
  }
  /** Back to the form, for another export. */
  function startOver(): void {
    jobId.value = null
  }

  return { open, job, start, retry, startOver }
})
