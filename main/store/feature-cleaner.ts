import { closeSync, openSync, readSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { FeatureGroup } from '#engine/ports.ts'
import {
  featureKey,
  groupName,
  isSoundRecord,
  quarantineLine,
  quarantineName,
  readGroup,
  readRecords,
  recordBytes,
  shardName,
  shardsOf,
  type Quarantined,
} from './feature-cache.ts'
import { readJsonLines } from './json-lines.ts'
import { isCode, type SafeFs } from './safe-fs.ts'

/** What is still wanted of a group: the texts that entries were made from; none when the group as a whole is not. */
export type Wanted = (group: FeatureGroup) => Iterable<string>

export interface GroupSurvey {
  name: string
  /** Null for a folder that is no group of this studio: all of it is an orphan. */
  group: FeatureGroup | null
  sizeBytes: number
  entries: number
  orphans: number
  orphanBytes: number
  quarantined: Quarantined[]
}

/** What lies in the caches under `root`, and how much of it is wanted. */
export async function surveyFeatures(root: string, wanted: Wanted): Promise<GroupSurvey[]> {
  return Promise.all((await foldersOf(root)).map((name) => survey(root, name, wanted)))
}

/**
 * Deletes what is not wanted: whole groups, and single entries by writing the shard that holds them anew. Nothing may read or write the caches
 * meanwhile.
 */
export async function cleanFeatures(root: string, wanted: Wanted, fs: SafeFs): Promise<{ entries: number; sizeBytes: number }> {
  let [entries, sizeBytes] = [0, 0]
  for (const { name, group, orphans, entries: all, ...size } of await surveyFeatures(root, wanted)) {
    if (orphans === 0 && group) continue
    entries += orphans
    sizeBytes += size.orphanBytes
    if (!group || orphans === all) await fs.remove(join(root, name))
    else await compact(join(root, name), group, wanted, fs)
  }
  return { entries, sizeBytes }
}

async function survey(root: string, name: string, wanted: Wanted): Promise<GroupSurvey> {
  const folder = join(root, name)
  const sizeBytes = await folderBytes(folder)
  const group = await readGroup(folder)
  if (!group || groupName(group) !== name)
    return { name, group: null, sizeBytes, entries: 0, orphans: 0, orphanBytes: sizeBytes, quarantined: [] }
  const records = await readRecords(folder, recordBytes(group))
  const live = liveRecords(records, group, wanted)
  const orphans = records.length - live.size
  return {
    name,
    group,
    sizeBytes,
    entries: records.length,
    orphans,
    orphanBytes: orphans === records.length ? sizeBytes : orphans * recordBytes(group),
    quarantined: await readJsonLines(join(folder, quarantineName), quarantineLine),
  }
}

type Records = Awaited<ReturnType<typeof readRecords>>

/** Of records with one key the last, where it is wanted. */
function liveRecords(records: Records, group: FeatureGroup, wanted: Wanted): Set<Records[number]> {
  const keys = new Set<string>()
  for (const source of wanted(group)) keys.add(featureKey(group, source))
  const last = new Map(records.map((record) => [record.key, record]))
  return new Set(records.filter((record) => keys.has(record.key) && last.get(record.key) === record))
}

async function compact(folder: string, group: FeatureGroup, wanted: Wanted, fs: SafeFs): Promise<void> {
  const sizeBytes = recordBytes(group)
  const records = await readRecords(folder, sizeBytes)
  const live = liveRecords(records, group, wanted)
  for (const shard of await shardsOf(folder)) {
    const inside = records.filter((record) => record.shard === shard)
    const kept = inside.filter((record) => live.has(record))
    if (kept.length === inside.length && kept.length > 0) continue
    const path = join(folder, shardName(shard))
    if (kept.length === 0) await fs.remove(path)
    else
      await rewrite(
        path,
        kept.map(({ slot }) => slot),
        sizeBytes,
        fs,
      )
  }
}

async function rewrite(path: string, slots: readonly number[], sizeBytes: number, fs: SafeFs): Promise<void> {
  const from = openSync(path, 'r')
  const to = await fs.newFile(path)
  try {
    for (const slot of slots) {
      const record = Buffer.alloc(sizeBytes)
      if (readSync(from, record, 0, sizeBytes, slot * sizeBytes) === sizeBytes && isSoundRecord(record)) await to.write(record)
    }
    await to.keep()
  } catch (error) {
    await to.discard()
    throw error
  } finally {
    closeSync(from)
  }
}

async function foldersOf(root: string): Promise<string[]> {
  const entries = await readdir(root, { withFileTypes: true }).catch((error: unknown) => {
    if (isCode(error, 'ENOENT')) return []
    throw error
  })
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)
}

async function folderBytes(folder: string): Promise<number> {
  const sizes = await Promise.all((await readdir(folder)).map(async (name) => (await stat(join(folder, name))).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}
