import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { StudioError } from '#contracts/errors.ts'
import type { ItemId } from '#contracts/project.ts'
import { ledgerState, sourceFacts, type ClipFacts, type LedgerTotals } from '#contracts/dataset.ts'
import { clip, clipRules, trim, videoReason, wholeClip, type Clip, type VideoEntry } from '#contracts/video.ts'
import { jsonLines, readJsonLines } from '../../store/json-lines.ts'
import { readLines } from '../../store/line-reader.ts'
import { isCode, type SafeFs } from '../../store/safe-fs.ts'

/** A clip and where its frames lie: `frames` records from `slot` on, one behind the other, in `clips/<shard>.bin`. */
const storedClip = clip.omit({ source: true }).extend({
  shard: z.string().regex(/^[0-9a-f]{24}-\d{4}$/),
  slot: z.number().int().nonnegative(),
  firstFrame: z.number().int(),
  lastFrame: z.number().int(),
  /** sha256 of its frames' bytes. */
  pixelHash: z.string(),
})
export type StoredClip = z.infer<typeof storedClip>

/** One line of clips/manifest.jsonl: what became of one video of a source. Its shards are whole before its line is written. */
export const videoLine = z.object({
  root: z.string(),
  source: z.string(),
  state: ledgerState,
  reason: videoReason.nullable(),
  detail: z.string().nullable(),
  /** sha256 of the file; null where it could not be read. */
  fileHash: z.string().nullable(),
  made: z.object({
    imageSize: z.number().int(),
    rules: clipRules,
    trim: trim.nullable(),
    /** That its source said that it is a clip as it is. */
    whole: wholeClip.nullable().default(null),
    frames: z.number().int(),
    usedFrames: z.number().int(),
    /** Of the video, upright and with square pixels; the first studios did not note it. */
    width: z.number().int().optional(),
    height: z.number().int().optional(),
  }),
  /** What the source says beyond a caption, if it says anything. */
  said: z
    .object({ captions: z.array(z.string()), tags: z.array(z.string()) })
    .extend(sourceFacts.shape)
    .optional(),
  clips: z.array(storedClip),
})
export type VideoLine = z.infer<typeof videoLine>

/** A clip as an item of the data set. */
export function clipFactsOf({ made }: VideoLine, { frames, frameRate, startSeconds, firstFrame, lastFrame }: StoredClip): ClipFacts {
  return { frames, frameRate, stride: made.rules.stride, startSeconds, firstFrame, lastFrame }
}

/** What was said of a clip where it was found: the first caption counts. */
export function foundOf({ said }: VideoLine, { caption }: StoredClip) {
  const { captions = [], tags = [], ...facts } = said ?? {}
  return { caption, captions, tags, ...facts }
}

/** The clips of a data set: a manifest and shards of frames, in a folder beside the pictures'. */
export class ClipFiles {
  readonly folder: string
  readonly #snapshots: string
  readonly #fs: SafeFs
  #read: { version: string; lines: Promise<VideoLine[]> } | null = null

  constructor(datasetFolder: string, fs: SafeFs) {
    this.folder = join(datasetFolder, 'clips')
    this.#snapshots = join(datasetFolder, 'snapshots')
    this.#fs = fs
  }

  get manifestPath(): string {
    return join(this.folder, 'manifest.jsonl')
  }

  shardPath(shard: string): string {
    return join(this.folder, `${shard}.bin`)
  }

  /** Makes the folder and removes the shards that neither the manifest nor a snapshot names: what a killed import or an older one left. */
  async prepare(): Promise<void> {
    await this.#fs.folder(this.folder)
    await this.#fs.sweep(this.folder)
    const named = new Set((await this.lines()).flatMap(({ clips }) => clips.map(({ shard }) => `${shard}.bin`)))
    const unnamed = (await readdir(this.folder)).filter((name) => name.endsWith('.bin') && !named.has(name))
    if (unnamed.length === 0) return
    const frozen = await this.#frozenShards()
    for (const name of unnamed) if (!frozen.has(name)) await this.#fs.remove(join(this.folder, name))
  }

  /** What snapshots name stays, also when its videos are cut by other rules now. */
  async #frozenShards(): Promise<Set<string>> {
    const names = (await this.#snapshotNames()).filter((name) => name.endsWith('.jsonl'))
    const shards = new Set<string>()
    for (const name of names)
      for await (const { text } of readLines(join(this.#snapshots, name))) {
        const [, shard] = /"shard":"([0-9a-f]{24}-\d{4})"/.exec(text) ?? []
        if (shard !== undefined) shards.add(`${shard}.bin`)
      }
    return shards
  }

  async #snapshotNames(): Promise<string[]> {
    try {
      return await readdir(this.#snapshots)
    } catch (error) {
      if (isCode(error, 'ENOENT')) return []
      throw error // lest what a snapshot holds is taken for nobody's
    }
  }

  /** The last word on every video, in the order in which they were first seen. */
  async lines(): Promise<readonly VideoLine[]> {
    const version = await this.#version()
    if (this.#read?.version !== version) this.#read = { version, lines: this.#readLines() } // every frame that is shown asks for them
    return this.#read.lines
  }

  async #readLines(): Promise<VideoLine[]> {
    const lines = await readJsonLines(this.manifestPath, videoLine)
    return [...new Map(lines.map((line) => [`${line.root}\n${line.source}`, line])).values()]
  }

  async #version(): Promise<string> {
    try {
      const { size, mtimeMs } = await stat(this.manifestPath)
      return `${size}-${mtimeMs}`
    } catch (error) {
      if (isCode(error, 'ENOENT')) return 'none'
      throw error
    }
  }

  append(line: VideoLine): Promise<void> {
    return this.#fs.append(this.manifestPath, jsonLines([line]))
  }

  /** Of the videos of one source. */
  async totals(root: string): Promise<LedgerTotals> {
    const mine = (await this.lines()).filter((line) => line.root === root)
    const count = (state: VideoLine['state']) => mine.filter((line) => line.state === state).length
    return { found: mine.length, used: count('used'), partial: count('partial'), rejected: count('rejected') }
  }

  /** What became of the videos of a folder; of all without one. */
  async entries(root: string | null = null): Promise<VideoEntry[]> {
    const lines = await this.lines()
    return lines.filter(isIn(root)).map(({ source, state, reason, detail, made, clips }) => ({
      source,
      state,
      reason,
      detail,
      frames: made.frames,
      usedFrames: made.usedFrames,
      clips: clips.length,
    }))
  }

  /** The clips of a folder's videos, or of one of them; all without a folder. */
  async clips(root: string | null = null, video: string | null = null): Promise<Clip[]> {
    const lines = (await this.lines()).filter((line) => isIn(root)(line) && (video === null || line.source === video))
    return lines.flatMap(({ source, clips }) =>
      clips.map(({ id, caption, frames, startSeconds, frameRate }) => ({ id, source, caption, frames, startSeconds, frameRate })),
    )
  }

  /** One frame's pixels, exactly as a trainer gets them; null where there is no such clip or frame. */
  async frame(id: ItemId, index: number): Promise<{ rgb: Uint8Array; imageSize: number } | null> {
    for (const { clips, made } of await this.lines()) {
      const found = clips.find((one) => one.id === id)
      if (!found || index < 0 || index >= found.frames) continue
      return { rgb: await this.record(found, index, made.imageSize), imageSize: made.imageSize }
    }
    return null
  }

  /** The same where it is known in which shard and from which slot on the clip lies. @throws StudioError corrupt-file when it ends before that. */
  async record({ shard, slot }: Pick<StoredClip, 'shard' | 'slot'>, index: number, imageSize: number): Promise<Uint8Array> {
    for await (const rgb of this.frames({ shard, slot: slot + index, frames: 1 }, imageSize)) return rgb
    throw new TypeError('ClipFiles.record: no frame was read')
  }

  /** The frames of a clip, one after the other, each with bytes of its own. @throws StudioError corrupt-file when the shard ends before the last. */
  async *frames({ shard, slot, frames }: Pick<StoredClip, 'shard' | 'slot' | 'frames'>, imageSize: number): AsyncGenerator<Uint8Array> {
    const handle = await open(this.shardPath(shard))
    try {
      for (let record = slot; record < slot + frames; record++) {
        const rgb = new Uint8Array(imageSize * imageSize * 3)
        const { bytesRead } = await handle.read(rgb, 0, rgb.length, record * rgb.length)
        if (bytesRead !== rgb.length)
          throw new StudioError('corrupt-file', `The clips' file ${shard} ends before frame ${record}. Import the videos again.`)
        yield rgb
      }
    } finally {
      await handle.close()
    }
  }
}

const isIn = (root: string | null) => (line: VideoLine) => root === null || line.root === root
