import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import type { Job, JobProgress, QueueStatus } from '#contracts/job.ts'
import { call, onNews } from '../client/studio-client.ts'
import { mirrorProject } from './project-mirror.ts'

/** The queue of the open project, as the studio tells it. */
export const useQueue = defineStore('queue', () => {
  const jobs = ref<Job[]>([])
  const status = ref<QueueStatus>({ mode: 'running', waiting: 0, running: 0 })
  const progress = ref<Record<string, JobProgress>>({})
  const running = computed(() => jobs.value.filter(({ state }) => state === 'running'))
  const unfinished = computed(() => jobs.value.filter(({ state }) => !['done', 'failed', 'cancelled'].includes(state)))

  mirrorProject(async (id) => {
    const list = id ? await call('queue.list', null) : { jobs: [], status: { mode: 'running' as const, waiting: 0, running: 0 } }
    ;[jobs.value, status.value] = [list.jobs, list.status]
  })
  onNews('job.changed', (job) => {
    const others = jobs.value.filter(({ id }) => id !== job.id)
    jobs.value = [...others, job].sort((a, b) => a.order - b.order)
  })
  onNews('job.progressed', (news) => (progress.value = { ...progress.value, [news.jobId]: news }))
  onNews('job.removed', ({ id }) => (jobs.value = jobs.value.filter((job) => job.id !== id)))
  onNews('queue.changed', (news) => (status.value = news))

  return { jobs, status, running, unfinished, progressOf: (job: Job) => progress.value[job.id] ?? job.progress }
})
