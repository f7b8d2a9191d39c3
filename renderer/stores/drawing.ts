import { defineStore } from 'pinia'
import { ref, watch } from 'vue'
import type { GenerationRequest } from '#contracts/gallery.ts'
import { call } from '../client/studio-client.ts'
import { defaultSettings, keptSettings, requestOf, reusedSettings, seedLimit } from '../composables/draw-settings.ts'
import { useStudio } from './studio.ts'

/** What is set on the Generate stage, kept for each project. */
export const useDrawing = defineStore('drawing', () => {
  const studio = useStudio()
  const settings = ref(defaultSettings())
  const keyOf = (id: string) => `zigma.draw.${id}`

  watch(
    () => studio.current?.id,
    (id) => id && (settings.value = keptSettings(localStorage.getItem(keyOf(id)))),
    { immediate: true },
  )
  watch(settings, (now) => studio.current && localStorage.setItem(keyOf(studio.current.id), JSON.stringify(now)), { deep: true })

  /** Takes over the settings of a picture, so that drawing gives it again. */
  function reuse(request: GenerationRequest): void {
    settings.value = { ...reusedSettings(request), count: 1 }
  }

  /** Puts the drawing in the queue. @throws StudioError where a setting is out of its range */
  async function draw(): Promise<void> {
    if (settings.value.randomSeed) settings.value.seed = Math.floor(Math.random() * seedLimit)
    await call('generation.enqueue', requestOf(settings.value))
  }

  return { settings, reuse, draw }
})
