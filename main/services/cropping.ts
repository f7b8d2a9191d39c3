import type { CroppedArea, Crop, CropsLeft, Rectangle } from '#contracts/curation.ts'
import { StudioError, toWire } from '#contracts/errors.ts'
import type { Job, JobResult } from '#contracts/job.ts'
import type { ItemId } from '#contracts/project.ts'
import type { OriginalAway } from '#contracts/xray.ts'
import { cropPicture, squareIn, type CropWish } from '../media/crop-picture.ts'
import { inOrder } from '../media/in-order.ts'
import { readOriginal } from '../media/original-picture.ts'
import { readOriginals } from '../media/originals.ts'
import { squareOf, trainingCrop } from '../media/training-crop.ts'
import type { Cropped } from '../store/crop-log.ts'
import { CropStore, type ItemPixels, type Uncropped } from '../store/crop-store.ts'
import { explainFull } from '../store/database.ts'
import { sha256 } from '../store/safe-fs.ts'
import { isAllowed } from './dataset.ts'
import type { OpenProject } from './open-project.ts'
import type { RunContext } from './queue/job-queue.ts'

/** So many are made at once when they are asked for; more become a job. */
const atOnce = 4
const shardBytes = 64 * 1024 * 1024
const shardItems = 1024
const rowsAtOnce = 256
const keepBytes = 16 * 1024 * 1024
const keepEveryMs = 2000 // no more than this is done twice after a crash
const unfinished: readonly Job['state'][] = ['queued', 'interrupted', 'paused']
const ahead = 3 // pictures that are decoded while earlier ones wait for their turn

/** An item that is dealt with: pixels that are new, there from before, or not to be had. */
type Made = { row: Uncropped } & ({ rgb: Uint8Array; area: Rectangle | null } | { known: ItemPixels } | { away: OriginalAway })

/**
 * Brings the training pixels of items to what their crops say. The journal says what is wanted, `crops.jsonl` what is there; whatever lies between,
 * after a crash as after an edit, is made from the originals, each item once. Until then, and where an original is away, an item keeps its pixels.
 */
export class Cropping {
  readonly #project: OpenProject
  readonly #store: CropStore
  #turn: Promise<void> = Promise.resolve()
  readonly #closing = new AbortController()

  constructor(project: OpenProject, store: CropStore) {
    this.#project = project
    this.#store = store
  }

  /** The pixels of some items may have to follow their crops, of all where no ids are given. Few are made now, in the background, many by a job. */
  follow(ids?: readonly ItemId[]): void {
    this.#turn = this.#turn
      .then(async () => {
        if (this.#closing.signal.aborted) return
        const rows = await this.#project.index.fresh(() => this.#store.uncropped({ limit: atOnce + 1, ...(ids ? { ids } : {}) }))
        // A job that is at work may have looked for the last time already; one that went down with its studio is not started again unasked.
        const there = this.#job(unfinished)
        if (rows.length > atOnce && (ids || !there)) this.#goOn(there)
        if (rows.length === 0 || rows.length > atOnce) return
        await this.#makeAll(rows, { signal: this.#closing.signal })
        this.#project.tellDataset()
      })
      .catch((error: unknown) => {
        if (this.#closing.signal.aborted) return
        this.#project.publish('system.warned', { message: `Crops could not be made (${toWire(explainFull(error)).message}).` })
      })
  }

  /** A job that makes all crops that wait; the one that is there already, where there is one. */
  startJob(): Job {
    return this.#goOn(this.#job([...unfinished, 'running']))
  }

  #goOn(there: Job | null): Job {
    const { queue, file } = this.#project
    return there ? queue.goOn(there.id) : queue.add(file.name, { kind: 'crop' })
  }

  #job(states: readonly Job['state'][]): Job | null {
    return this.#project.queue.list().find(({ payload, state }) => payload.kind === 'crop' && states.includes(state)) ?? null
  }

  /** Resolves when nothing is made in the background any more. */
  async idle(): Promise<void> {
    for (let turn: Promise<void> | null = null; turn !== this.#turn;) await (turn = this.#turn)
  }

  async close(): Promise<void> {
    this.#closing.abort(new StudioError('cancelled', 'The project is being closed.'))
    await this.idle()
  }

  left(): Promise<CropsLeft> {
    return this.#project.index.fresh(() => this.#store.left())
  }

  /** @throws StudioError invalid-request while items have other pixels than their crops say and could get them. */
  async checkMade(): Promise<void> {
    await this.idle()
    const { waiting } = await this.left()
    if (waiting === 0) return
    throw new StudioError(
      'invalid-request',
      `The training pictures of ${waiting} cropped ${waiting === 1 ? 'picture is' : 'pictures are'} not made yet. Let them be made (Curate says how many wait), or take the crops back.`,
    )
  }

  /** What a crop of an item comes to; nothing changes. Smart while the original is away goes by what was measured, or is the middle. */
  async areaOf(id: ItemId, crop: Crop): Promise<CroppedArea> {
    const { wish, imageSize, original } = await this.#about(id, crop)
    const square = 'bytes' in original ? await squareIn(original.bytes, wish).catch(() => squareOf(wish)) : squareOf(wish)
    return { area: square ?? trainingCrop(wish, imageSize), away: 'away' in original ? original.away : null }
  }

  /** Why the original of an item cannot be shown; null where it can. A clip's is a video, which is opened elsewhere. */
  async originalAway(id: ItemId): Promise<OriginalAway | null> {
    const { index, items } = this.#project
    const [item, origin] = await index.fresh(() => [items.get(id), items.origin(id)] as const)
    if (!item) throw new StudioError('not-found', `There is no picture "${id}" in the data set.`)
    if (item.clip) return 'video'
    const original = origin ? await this.#readOne(origin) : { away: 'gone' as const }
    return 'away' in original ? original.away : null
  }

  /** The training picture that a crop of an item would lead to, by the function that would make it; null where it cannot be made. */
  async tryOn(id: ItemId, crop: Crop): Promise<{ rgb: Uint8Array; imageSize: number } | null> {
    const { wish, imageSize, background, original } = await this.#about(id, crop)
    const isInside = crop.kind !== 'rectangle' || (crop.x + crop.width <= wish.width && crop.y + crop.height <= wish.height)
    const made = isInside && 'bytes' in original ? await cropPicture(original.bytes, wish, { imageSize, background }) : null
    return made && { rgb: made.rgb, imageSize }
  }

  /** Makes all crops that wait, and tries again those whose originals were away. */
  async run({ signal, report }: RunContext): Promise<Extract<JobResult, { kind: 'crop' }>> {
    const { index } = this.#project
    const { waiting, away } = await index.fresh(() => this.#store.left())
    let [done, made, missing, total] = [0, 0, 0, waiting + away]
    for (let again = true; ; again = false) {
      let tried = 0
      for (let after = 0; ;) {
        const rows = await index.fresh(() => this.#store.uncropped({ after, limit: rowsAtOnce, again }))
        if (rows.length === 0) break
        tried += rows.length
        after = rows.at(-1)!.row
        const counts = await this.#makeAll(rows, {
          signal,
          onMade: ({ source }) => report({ done: done++, total, unit: 'pictures', note: source }),
        })
        made += counts.made
        missing += counts.missing
      }
      const left = (await index.fresh(() => this.#store.left())).waiting // cropped otherwise meanwhile
      if (left === 0 || tried === 0) break
      total += left
    }
    report({ done: total, total, unit: 'pictures', note: null })
    this.#project.tellCuration()
    return { kind: 'crop', made, missing }
  }

  async #makeAll(
    rows: readonly Uncropped[],
    { signal, onMade }: { signal: AbortSignal; onMade?: (row: Uncropped) => void },
  ): Promise<{ made: number; missing: number }> {
    const imageSize = await this.#project.dataset.imageSize()
    if (imageSize === null)
      throw new StudioError(
        'corrupt-file',
        'The data set does not say how large its pictures are. Restore dataset.json from a copy of the project.',
      )
    let ready: Made[] = []
    let [made, missing, sizeBytes, keptAt] = [0, 0, 0, performance.now()]
    const keep = async () => {
      await this.#keep(ready, imageSize)
      ;[ready, sizeBytes, keptAt] = [[], 0, performance.now()]
    }
    try {
      for await (const one of inOrder(this.#originals(rows), ahead, (it) => make(it, imageSize))) {
        signal.throwIfAborted()
        ready.push(one)
        if ('rgb' in one) sizeBytes += one.rgb.length
        if ('away' in one) missing++
        else made++
        onMade?.(one.row)
        if (sizeBytes >= keepBytes || performance.now() - keptAt > keepEveryMs) await keep()
      }
    } finally {
      await keep() // also of a job that is ended: what was made stays made
    }
    return { made, missing }
  }

  /** The pixels first, then the lines that speak of them, all in one turn of the index: nobody else can take the same place. */
  async #keep(ready: readonly Made[], imageSize: number): Promise<void> {
    if (ready.length === 0) return
    const { dataset, index, items, publish } = this.#project
    const perShard = Math.max(1, Math.min(shardItems, Math.floor(shardBytes / (imageSize ** 2 * 3))))
    const ids = await index.change(async () => {
      const wanted = this.#store.stillWanted(ready.map(({ row }) => row))
      const lines: Cropped[] = []
      let place = this.#store.nextPlace(perShard)
      let run = { ...place, records: [] as Uint8Array[] }
      const write = async () => {
        if (run.records.length > 0) await dataset.writeCropped(run.shard, run.slot, run.records)
        run = { ...place, records: [] }
      }
      for (const { row, ...one } of ready) {
        if (!wanted.has(row.id)) continue // cropped otherwise meanwhile
        const said = { id: row.id, crop: row.crop }
        if ('rgb' in one) {
          lines.push({ ...said, area: one.area, ...place, pixelHash: sha256(one.rgb) })
          run.records.push(one.rgb)
          place = place.slot + 1 < perShard ? { ...place, slot: place.slot + 1 } : { shard: place.shard + 1, slot: 0 }
          if (place.slot === 0) await write()
        } else if ('known' in one) {
          const { shard, slot, pixelHash, area } = one.known
          lines.push({ ...said, area, shard, slot, pixelHash })
        } else if (row.away !== one.away) {
          const { shard, slot, pixelHash, area } = row
          lines.push({ ...said, area, shard, slot, pixelHash, away: one.away })
        }
      }
      await write()
      if (lines.length > 0) await dataset.crops.add(lines)
      return lines.map(({ id }) => id)
    })
    if (ids.length > 0) publish('curation.changed', { ids, history: items.history() })
  }

  /** Items with their originals, but where these are not needed: their pixels are there from before. */
  async *#originals(rows: readonly Uncropped[]): AsyncGenerator<Read> {
    for (const row of rows) if (row.known) yield { row, known: row.known }
    const { folder, allowedRoots } = this.#project
    const missing = rows.filter(({ known }) => !known)
    for (const [root, wanted] of Map.groupBy(missing, (row) => row.root)) {
      // A source may be an archive, which is opened once for all; what it does not give is asked for alone, for the reason.
      const isFolder = wanted.length > 1 && (root === 'sample' || isAllowed(allowedRoots, root))
      if (isFolder) {
        for await (const [row, bytes] of readOriginals(root, wanted, folder.originals))
          yield bytes ? { row, bytes } : { row, ...(await this.#readOne(row)) }
      } else for (const row of wanted) yield { row, ...(await this.#readOne(row)) }
    }
  }

  #readOne(origin: Parameters<typeof readOriginal>[0]): ReturnType<typeof readOriginal> {
    return readOriginal(origin, (path) => isAllowed(this.#project.allowedRoots, path), this.#project.folder.originals)
  }

  async #about(id: ItemId, crop: Crop) {
    const { dataset, index, items } = this.#project
    const imageSize = await dataset.imageSize()
    const [item, background, origin] = await index.fresh(() => [items.get(id), this.#store.background(id), items.origin(id)] as const)
    if (!item || imageSize === null) throw new StudioError('not-found', `There is no picture "${id}" in the data set.`)
    const original = origin ? await this.#readOne(origin) : { away: 'gone' as const }
    const wish: CropWish = { width: item.width, height: item.height, crop, focus: item.measures?.focus ?? null }
    return { wish, imageSize, background, original }
  }
}

type Read = { row: Uncropped } & ({ known: ItemPixels } | { bytes: Uint8Array } | { away: OriginalAway })

async function make(read: Read, imageSize: number): Promise<Made> {
  if (!('bytes' in read)) return read
  const { row, bytes } = read
  const made = await cropPicture(bytes, row, { imageSize, background: row.background })
  return made ? { row, ...made } : { row, away: 'unreadable' }
}
