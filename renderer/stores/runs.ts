import { defineStore } from 'pinia'
import { ref } from 'vue'
import type { RunId } from '#contracts/project.ts'
import type { Baselines, MetricPoint, Run, RunSample } from '#contracts/studio.ts'
import { call, onNews } from '../client/studio-client.ts'
import { mirrorProject } from './project-mirror.ts'

export interface RunCurves {
  baselines: Baselines
  points: MetricPoint[]
}

/** Trainings of the open project, newest first, with the curves and samples of those that were looked at. */
export const useRuns = defineStore('runs', () => {
  const runs = ref<Run[]>([])
  const curves = ref<Record<string, RunCurves>>({})
  const samples = ref<Record<string, RunSample[]>>({})
  const loaded = ref(false)

  mirrorProject(async (id) => {
    const list = id ? await call('training.runs', null) : []
    const shown = list.filter((run) => curves.value[run.id]).map((run) => run.id)
    ;[runs.value, curves.value, samples.value] = [list, {}, {}]
    loaded.value = id !== null
    await Promise.all(shown.map(look))
  })
  onNews('run.changed', (run) => {
    const index = runs.value.findIndex(({ id }) => id === run.id)
    runs.value = index < 0 ? [run, ...runs.value] : runs.value.with(index, run)
  })
  onNews('run.progressed', ({ runId, points, baselines }) => {
    const known = curves.value[runId]
    const first = points[0]?.step ?? 0
    if (known)
      curves.value = { ...curves.value, [runId]: { baselines, points: [...known.points.filter(({ step }) => step < first), ...points] } }
    const last = points.at(-1)
    runs.value = runs.value.map((run) => (run.id === runId && last ? { ...run, step: last.step, loss: last.loss ?? run.loss } : run))
  })
  onNews('run.sampled', (sample) => {
    const known = samples.value[sample.runId]
    if (known) samples.value = { ...samples.value, [sample.runId]: [...known, sample] }
  })

  /** Loads what a run has so far; later news are added. */
  async function look(runId: RunId): Promise<void> {
    const [metrics, drawn] = await Promise.all([call('training.metrics', { runId, afterStep: -1 }), call('training.samples', { runId })])
    curves.value = { ...curves.value, [runId]: metrics }
    samples.value = { ...samples.value, [runId]: drawn }
  }

  return { runs, curves, samples, loaded, look }
})
