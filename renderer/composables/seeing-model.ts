import { computed, ref, watch } from 'vue'
import { useRoute, useRouter } from 'vue-router'
import type { RunId } from '#contracts/project.ts'
import type { Preset } from '#contracts/recipe.ts'
import type { ModelChoice } from '#contracts/xray.ts'
import { call } from '../client/studio-client.ts'
import { useDataset } from '../stores/dataset.ts'
import { useRuns } from '../stores/runs.ts'
import { useStudio } from '../stores/studio.ts'
import { attempt } from './toasts.ts'

const lastKey = 'zigma.xray.model'

/** The model through whose eyes pictures are looked at, as "run.ID" or "preset.NAME" in the address. */
export function useSeeingModel() {
  const route = useRoute()
  const router = useRouter()
  const studio = useStudio()
  const dataset = useDataset()
  const runs = useRuns()
  const presets = ref<Preset[]>([])

  const chosen = computed({
    get: () => (typeof route.query.model === 'string' ? route.query.model : ''),
    set: (model) => {
      localStorage.setItem(lastKey, model)
      void router.replace({ name: 'xray', params: route.params, query: { ...route.query, model } })
    },
  })

  /** The one of last time, else the newest run, else the first preset that fits the pictures. */
  async function choose(): Promise<void> {
    if (!studio.current || !runs.loaded || !dataset.summary) return // until it is known what there is to choose from
    presets.value = await call('training.presets', null)
    const all = [...runs.runs.map(({ id }) => `run.${id}`), ...presets.value.map(({ name }) => `preset.${name}`)]
    if (all.includes(chosen.value)) return
    const last = localStorage.getItem(lastKey) ?? ''
    const fitting = presets.value.find(({ recipe: { model } }) => model.channels === 3 && model.height === dataset.summary?.imageSize)
    if (all.includes(last)) chosen.value = last
    else chosen.value = runs.runs[0] ? `run.${runs.runs[0].id}` : `preset.${(fitting ?? presets.value[0]!).name}`
  }
  // An address without a model, one that another page led to, gets one as well.
  watch(
    [() => studio.current?.id, () => runs.loaded, () => dataset.summary?.imageSize, () => route.name === 'xray' && chosen.value === ''],
    () => void attempt(choose),
    { immediate: true },
  )

  return { chosen, presets }
}

export function modelOf(chosen: string): ModelChoice {
  const [kind, name] = [chosen.slice(0, chosen.indexOf('.')), chosen.slice(chosen.indexOf('.') + 1)]
  return kind === 'run' ? { kind, runId: name as RunId } : { kind: 'preset', name }
}
