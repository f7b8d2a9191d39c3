import { clipOptions, clipRules, type ClipOptions, type Trim } from '#contracts/video.ts'

export interface SlicingSettings {
  /** The folder that was opened last. */
  folder: string | null
  options: ClipOptions
}

/** Where most films' hard cuts lie above and their movement below. */
const usualThreshold = 0.3
const usualSize = 32

export function defaultSlicing(): SlicingSettings {
  return { folder: null, options: clipOptions.parse({ imageSize: usualSize, rules: clipRules.parse({ cutThreshold: usualThreshold }) }) }
}

/** What was kept of an earlier look; anything that cannot be read is as if it had never been. */
export function keptSlicing(text: string | null): SlicingSettings {
  try {
    const kept = JSON.parse(text ?? 'null') as { folder?: unknown; options?: unknown } | null
    const options = clipOptions.safeParse(kept?.options)
    if (options.success) return { folder: typeof kept?.folder === 'string' ? kept.folder : null, options: options.data }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
  }
  return defaultSlicing()
}

/** The threshold by which a video is cut: its own where it has one. */
export function thresholdOf({ rules, thresholds }: ClipOptions, source: string): number | null {
  const own = thresholds.find((one) => one.source === source)
  return own ? own.cutThreshold : rules.cutThreshold
}

export function hasOwnThreshold({ thresholds }: ClipOptions, source: string): boolean {
  return thresholds.some((one) => one.source === source)
}

/** Moves the threshold of all videos, or of one that has its own. */
export function withThreshold(options: ClipOptions, source: string, cutThreshold: number | null): ClipOptions {
  if (!hasOwnThreshold(options, source)) return { ...options, rules: { ...options.rules, cutThreshold } }
  return { ...options, thresholds: options.thresholds.map((one) => (one.source === source ? { source, cutThreshold } : one)) }
}

/** Gives a video a threshold of its own, to start with the common one, or takes it away. */
export function withOwnThreshold(options: ClipOptions, source: string, own: boolean): ClipOptions {
  const others = options.thresholds.filter((one) => one.source !== source)
  return { ...options, thresholds: own ? [...others, { source, cutThreshold: thresholdOf(options, source) }] : others }
}

export function trimOfVideo({ trims }: ClipOptions, source: string): Trim | null {
  return trims.find((one) => one.source === source)?.trim ?? null
}

export function withTrim(options: ClipOptions, source: string, trim: Trim | null): ClipOptions {
  const others = options.trims.filter((one) => one.source !== source)
  return { ...options, trims: trim ? [...others, { source, trim }] : others }
}
