import type { CacheReport } from '#contracts/autoencoder.ts'
import { StudioError } from '#contracts/errors.ts'
import { latentsEncoder, latentsSource } from '#engine/ports.ts'
import { openSnapshot } from '../media/dataset-files.ts'
import { cleanFeatures, surveyFeatures, type Wanted } from '../store/feature-cleaner.ts'
import type { OpenProject } from './open-project.ts'

/** What is kept of encoders: how much, for what, and what of it may go. */
export class LatentsCache {
  readonly #project: OpenProject
  #cleaning: Promise<unknown> = Promise.resolve()

  constructor(project: OpenProject) {
    this.#project = project
  }

  /** Resolves when nobody cleans. */
  async idle(): Promise<void> {
    await this.#cleaning
  }

  async describe(): Promise<CacheReport> {
    const groups = await surveyFeatures(this.#project.folder.features, await this.#wanted())
    const names = new Map((await this.#project.autoencoders.list()).map(({ hash, name }) => [latentsEncoder(hash), name]))
    const sources = new Map((await this.#project.dataset.items()).map(({ id, source }) => [id as string, source]))
    const sum = (of: (group: (typeof groups)[number]) => number) => groups.reduce((total, group) => total + of(group), 0)
    return {
      entries: sum(({ entries }) => entries),
      sizeBytes: sum(({ sizeBytes }) => sizeBytes),
      orphans: sum(({ orphans }) => orphans),
      orphanBytes: sum(({ orphanBytes }) => orphanBytes),
      groups: groups.map(({ name, group, entries, sizeBytes, orphans }) => ({
        name,
        encoder: names.get(group?.encoder ?? '') ?? '',
        entries,
        sizeBytes,
        orphans,
      })),
      quarantined: groups.flatMap(({ quarantined }) =>
        quarantined.flatMap(({ item, reason }) => (sources.has(item) ? [{ source: sources.get(item)!, reason }] : [])),
      ),
    }
  }

  /** @throws StudioError invalid-request while a training or an export reads the cache. */
  async clean(): Promise<{ entries: number; sizeBytes: number }> {
    const { queue, folder, fs } = this.#project
    const running = queue.list().flatMap(({ state, payload }) => (state === 'running' ? payload : []))
    if (running.some(({ kind }) => kind === 'train'))
      throw new StudioError('invalid-request', 'A training reads the cache now. Pause it, or clean when it has ended.')
    if (running.some((payload) => payload.kind === 'export' && payload.request.latents))
      throw new StudioError('invalid-request', 'An export reads the cache now. Clean when it has ended.')
    const work = this.#cleaning.then(async () => cleanFeatures(folder.features, await this.#wanted(), fs))
    this.#cleaning = work.catch(() => undefined) // its caller hears of it
    return work
  }

  /** The latents of the pictures that are there, and of those that a run still trains on, by the autoencoders that are in use. */
  async #wanted(): Promise<Wanted> {
    const { autoencoders, dataset, runs, folder } = this.#project
    const chosen = await autoencoders.chosen()
    const unfinished = runs.list().filter(({ state, recipe }) => recipe.autoencoder && state !== 'finished')
    const encoders = new Set(
      [...(chosen ? [chosen.hash] : []), ...unfinished.map(({ recipe }) => recipe.autoencoder!.hash)].map(latentsEncoder),
    )
    const pixelHashes = new Set((await dataset.items()).map(({ pixelHash }) => pixelHash))
    for (const snapshot of new Set(unfinished.map((run) => run.snapshot))) {
      using reader = await openSnapshot(folder.dataset, snapshot).catch((error: unknown) => {
        if (error instanceof StudioError && error.code === 'not-found') return null // the run cannot go on either
        throw error
      })
      for (const hash of reader?.pixelHashes ?? []) pixelHashes.add(hash)
    }
    return function* ({ kind, encoder }) {
      if (kind !== 'latents' || !encoders.has(encoder)) return
      for (const hash of pixelHashes) for (const mirrored of [false, true]) yield latentsSource(hash, mirrored)
    }
  }
}
