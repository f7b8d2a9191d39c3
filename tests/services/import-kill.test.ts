import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { expect, test } from 'vitest'
import { DatasetFiles } from '#main/media/dataset-files.ts'
import { SafeFs, sha256 } from '#main/store/safe-fs.ts'
import { plain } from '#tests/fixtures/pictures.ts'
import { importAll } from '../support/import-all.ts'
import { runAndKill } from '../support/kill.ts'
import { ffmpeg, makePattern } from '../support/made-videos.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const kills = process.env.ZIGMA_LONG ? 100 : 4
const pictures = 48
const videos = ['05 film', '14 film', '23 film', '32 film', '41 film'] // before each of them what was read is written

/** Pictures with captions and without, some that are not used, and videos between them. */
async function mixedFolder(): Promise<string> {
  const folder = temporaryFolder()
  for (let i = 0; i < pictures; i++) {
    const name = String(i).padStart(2, '0')
    writeFileSync(join(folder, `${name}.png`), await plain(24, i % 3 ? 24 : 16, `#${(i * 65_537 + 1).toString(16).padStart(6, '0')}`))
    if (i % 4 === 0) writeFileSync(join(folder, `${name}.txt`), i % 8 ? `picture ${i}` : Buffer.from('caf\u00e9', 'latin1'))
  }
  writeFileSync(join(folder, '10 twin.png'), readFileSync(join(folder, '03.png')))
  writeFileSync(join(folder, '20 broken.png'), readFileSync(join(folder, '04.png')).subarray(0, 50))
  for (const [i, name] of videos.entries()) makePattern(join(folder, `${name}.mp4`), { frames: 32 + 2 * i, rate: 12 + i })
  return folder
}

/** Every file of a data set with the hash of its bytes. */
function contents(folder: string): Record<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  const named = files.map(({ parentPath, name }) => join(parentPath, name)).sort()
  return Object.fromEntries(named.map((path) => [relative(folder, path), sha256(readFileSync(path))]))
}

test(
  `killed without warning at ${kills} random moments, an import ends with the ledger, the bytes and the hashes of an undisturbed one`,
  { timeout: kills * 15_000 },
  async () => {
    const source = await mixedFolder()
    const undisturbed = temporaryFolder()
    const started = performance.now()
    const totals = await importAll(source, undisturbed, ffmpeg)
    const lastsMs = performance.now() - started
    expect(totals).toEqual({ found: 55, used: 29, partial: 24, rejected: 2 })
    const expected = contents(undisturbed)
    expect(Object.keys(expected).filter((path) => path.startsWith('shards/'))).toHaveLength(videos.length + 1)
    const snapshot = await new DatasetFiles(undisturbed, new SafeFs()).freeze()
    for (let done = 0; done < kills;) {
      const dataset = temporaryFolder()
      const lives = Math.min(kills - done, 1 + (done % 3)) // some are killed again while they go on
      for (let life = 0; life < lives; life++) await runAndKill('import-all-to-kill.ts', [source, dataset, ffmpeg], Math.random() * lastsMs)
      done += lives
      expect(await importAll(source, dataset, ffmpeg)).toEqual(totals)
      expect(contents(dataset)).toEqual(expected)
      expect(await new DatasetFiles(dataset, new SafeFs()).freeze()).toBe(snapshot)
      rmSync(dataset, { recursive: true })
    }
  },
)
