import { generationRequest, type GenerationRequest } from '#contracts/gallery.ts'

/** What the Generate stage holds between two pictures. */
export interface DrawSettings extends Omit<GenerationRequest, 'model'> {
  /** Empty while no run is chosen. */
  runId: string
  /** Of the checkpoint; null is the newest. */
  step: number | null
  /** A new seed for each drawing, rather than the one that is shown. */
  randomSeed: boolean
}

export const seedLimit = 2 ** 32

export function defaultSettings(): DrawSettings {
  return {
    runId: '',
    step: null,
    randomSeed: true,
    prompt: '',
    negativePrompt: '',
    seed: 1,
    count: 4,
    steps: 25,
    sampler: 'euler',
    cfgScale: 3,
  }
}

/** The settings that draw this very picture again: its model, its seed, one picture. */
export function reusedSettings({ model, ...settings }: GenerationRequest): DrawSettings {
  return { ...settings, runId: model.runId, step: model.step, randomSeed: false }
}

/** What is sent to the studio, where it is checked. */
export function requestOf({ runId, step, randomSeed: _, ...settings }: DrawSettings) {
  return { ...settings, model: { runId, step, weights: 'ema' as const } }
}

/** Settings as they were kept; the defaults where they cannot be read or are of another version. */
export function keptSettings(text: string | null): DrawSettings {
  if (text === null) return defaultSettings()
  try {
    const kept = JSON.parse(text) as Partial<DrawSettings>
    const checked = generationRequest.omit({ model: true }).parse(kept)
    return {
      ...checked,
      runId: String(kept.runId ?? ''),
      step: typeof kept.step === 'number' ? kept.step : null,
      randomSeed: kept.randomSeed !== false,
    }
  } catch {
    return defaultSettings() // kept by another version: nothing that people made is lost with it
  }
}
