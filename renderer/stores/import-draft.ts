import { defineStore } from 'pinia'
import { computed, ref, watch } from 'vue'
import type { ImportSource } from '#contracts/dataset.ts'
import type { ImportDraft, ResumedDraft } from '#contracts/import-wizard.ts'
import { call } from '../client/studio-client.ts'
import { attempt } from '../composables/toasts.ts'
import { mirrorProject } from './project-mirror.ts'
import { useDataset } from './dataset.ts'
import { useQueue } from './queue.ts'

/** The import that is being prepared. What is chosen is in the project before the window shows it, so that nothing of it is ever lost. */
export const useImportDraft = defineStore('import-draft', () => {
  const queue = useQueue()
  const dataset = useDataset()
  const draft = ref<ResumedDraft | null>(null)
  const loaded = ref(false)
  const size = computed(() => ((dataset.summary?.items ?? 0) > 0 ? dataset.summary!.imageSize : null))
  /** The import that was started from the draft; else one that runs without. */
  const job = computed(
    () =>
      queue.jobs.find(({ id }) => id === draft.value?.jobId) ??
      queue.jobs.find(({ payload, state }) => payload.kind === 'import' && (state === 'running' || state === 'queued')) ??
      null,
  )

  mirrorProject(async (id) => {
    loaded.value = false
    draft.value = id ? await call('import.draft', null) : null
    loaded.value = true
  })
  watch(
    () => draft.value?.step === 'import' && draft.value.jobId === job.value?.id && job.value?.state === 'done',
    (ended) => ended && void attempt(() => keep({ step: 'ledger' })),
  )

  async function keep(change: Partial<ImportDraft>): Promise<void> {
    const { step, source, options, jobId } = draft.value ?? {
      step: 'choose' as const,
      source: null,
      options: { imageSize: size.value ?? 32, background: '#ffffff' },
      jobId: null,
    }
    draft.value = await call('import.keepDraft', { step, source, options, jobId, ...change })
  }
  /** Begins anew with another source. */
  async function choose(source: ImportSource): Promise<void> {
    draft.value = null
    await keep({ step: source.kind === 'sample' ? 'options' : 'recognize', source })
  }
  async function start(): Promise<void> {
    await call('import.start', null)
    draft.value = await call('import.draft', null)
  }
  async function drop(): Promise<void> {
    await call('import.dropDraft', null)
    draft.value = null
  }

  return { draft, loaded, job, size, keep, choose, start, drop }
})
