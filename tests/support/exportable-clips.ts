import type { ItemId } from '#contracts/project.ts'
import type { ExportItem } from '#main/media/export/export-item.ts'
import { ClipFiles } from '#main/media/video/clip-files.ts'
import { SafeFs, sha256 } from '#main/store/safe-fs.ts'
import { temporaryFolder } from './temporary-folder.ts'

export const clipSize = 16

export interface ExportableClips {
  datasetFolder: string
  clips: ClipFiles
  items: readonly ExportItem[]
}

/** A shade for each number of a frame. */
type Shade = (at: number, frame: number) => number
const noise: Shade = (at, frame) => ((at + 1) * 2654435761 * (frame * 40503 + 77)) >>> 23
const still: Shade = (at) => (at * 7) % 256
const flashing: Shade = (_at, frame) => (frame % 2 === 0 ? 0 : 255)

/** What is hard to keep as a video: noise, cuts, stills that are the same, one frame alone, rates that containers round and frames minutes apart. */
const wanted: readonly (readonly [frames: number, frameRate: number, shade: Shade])[] = [
  [8, 25, noise],
  [16, 30000 / 1001, noise],
  [1, 12, still],
  [5, 24, still],
  [5, 24, still],
  [6, 1 / 64, flashing],
  [24, 240, flashing],
  [9, 29.97 / 4, noise],
  [3, 23.976, still],
]

/** A data set's folder with the frames of clips, one behind the other in two shards; items of which nothing is said yet. */
export async function exportableClips(): Promise<ExportableClips> {
  const datasetFolder = temporaryFolder()
  const fs = new SafeFs()
  const clips = new ClipFiles(datasetFolder, fs)
  await fs.folder(clips.folder)
  const shards = ['0123456789abcdef01234567-0000', 'fedcba9876543210fedcba98-0000'] as const
  const records: Uint8Array[][] = [[], []]
  const items = wanted.map(([frames, frameRate, shade], i): ExportItem => {
    const shard = records[i % 2]!
    const slot = shard.length
    for (let frame = 0; frame < frames; frame++) shard.push(Uint8Array.from({ length: clipSize ** 2 * 3 }, (_, at) => shade(at, frame)))
    return {
      ...{ id: sha256(`clip ${i}`).slice(0, 20) as ItemId, source: `film ${i}.mp4`, caption: '', captions: [], tags: [], split: 'train' },
      ...{ author: '', licence: '', consent: 'unknown', origin: '', repeats: null, concept: '', width: 64, height: 48, shard: 0, slot },
      pixelHash: sha256(Buffer.concat(shard.slice(slot))),
      clip: { frames, frameRate, shard: shards[i % 2]!, imageSize: clipSize },
      original: null,
    }
  })
  for (const [i, name] of shards.entries()) await fs.writeFile(clips.shardPath(name), Buffer.concat(records[i]!))
  return { datasetFolder, clips, items }
}
