import { parseArgs } from 'node:util'
import { basename, join } from 'node:path'
import type { ItemId } from '#contracts/project.ts'
import { DatasetFiles, type LedgerLine } from '#main/media/dataset-files.ts'
import { createProject } from '#main/store/project-folder.ts'
import { SafeFs, sha256 } from '#main/store/safe-fs.ts'

// A project of many pictures that never were files, written through the formats of a real one:
//   node tests/support/large-project.ts FOLDER [--items 100000] [--size 16]

const perShard = 1024
const idLength = 20
const subjects = ['apple', 'boat', 'cloud', 'door', 'egg', 'fern', 'goat', 'hill', 'ink', 'jar']
const colors = ['red', 'orange', 'yellow', 'green', 'cyan', 'blue', 'violet', 'pink', 'brown', 'grey']
const tints = [[220, 40, 40], [240, 140, 30], [240, 210, 60], [60, 170, 80], [60, 190, 200], [50, 90, 210], [130, 70, 190], [240, 130, 180], [130, 85, 50], [128, 128, 128]] as const // prettier-ignore

/** Writes `items` pictures of `size` x `size` pixels: a disk on a gradient, each in its own place and color, with words to find it by. */
export async function writeLargeProject(folder: string, items: number, size: number): Promise<string> {
  const fs = new SafeFs()
  await createProject(fs, folder, basename(folder))
  const dataset = new DatasetFiles(join(folder, 'dataset'), fs)
  await dataset.prepare()
  await dataset.setImageSize(size)
  for (let shard = 0; shard * perShard < items; shard++) {
    const count = Math.min(perShard, items - shard * perShard)
    const records = Array.from({ length: count }, (_, slot) => pixels(shard * perShard + slot, size))
    await dataset.appendShard(shard, records)
    await dataset.appendLedger(records.map((rgb, slot) => ledgerLine(shard * perShard + slot, rgb, shard, slot)))
  }
  return folder
}

function ledgerLine(index: number, rgb: Uint8Array, shard: number, slot: number): LedgerLine {
  const fileHash = sha256(`picture ${index}`)
  const name = `${String(Math.floor(index / 1000)).padStart(3, '0')}/${String(index).padStart(6, '0')}.png`
  const item = {
    id: fileHash.slice(0, idLength) as ItemId,
    caption: `${colors[index % colors.length]} ${subjects[Math.floor(index / colors.length) % subjects.length]} number ${index}`,
    width: 256 + (index % 7) * 64,
    height: 256 + (index % 5) * 64,
    shard,
    slot,
    pixelHash: sha256(rgb),
  }
  return { root: '/away/synthetic', source: name, state: 'used', reason: null, detail: null, fileHash, item }
}

function pixels(index: number, size: number): Uint8Array {
  const rgb = new Uint8Array(size * size * 3)
  const tint = tints[index % tints.length]!
  const [cx, cy, radius] = [size * (0.3 + ((index * 7) % 41) / 100), size * (0.3 + ((index * 13) % 41) / 100), size * 0.22]
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const inside = (x - cx) ** 2 + (y - cy) ** 2 < radius ** 2
      for (let channel = 0; channel < 3; channel++)
        rgb[(y * size + x) * 3 + channel] = inside ? tint[channel]! : 235 - Math.floor((y / size) * 90) - (index % 3) * 8
    }
  }
  return rgb
}

if (process.argv[1] === import.meta.filename) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { items: { type: 'string', default: '100000' }, size: { type: 'string', default: '16' } },
  })
  const [folder] = positionals
  if (!folder) throw new Error('Say where to: node tests/support/large-project.ts FOLDER')
  await writeLargeProject(folder, Number(values.items), Number(values.size))
}
