import { stat } from 'node:fs/promises'
import type { RecognizedSource, SourceLayout } from '#contracts/dataset.ts'
import { pictureFormat } from '../picture.ts'
import { isVideoName } from '../video/video-folder.ts'
import { archiveFormat } from './archive-entry.ts'
import { openRegular, readHead } from './bounded-file.ts'
import type { FileTree } from './file-tree.ts'
import { baseOf } from './image-folder.ts'
import { repeatsOf } from './kohya-folder.ts'
import { isMetadata, metadataNames } from './metadata-list.ts'
import { splitOf } from './split-name.ts'
import { isShard } from './web-dataset.ts'

/** So many files are looked at to tell one layout from another. */
const lookAt = 2000

export type Container = Exclude<RecognizedSource['container'], 'sample'>

/** What holds the files, by what is in it and not by its name alone; null for a file that is none of these. */
export async function containerOf(path: string): Promise<Container | null> {
  if ((await stat(path)).isDirectory()) return 'folder'
  await (await openRegular(path)).close()
  const head = await readHead(path, 512)
  if (pictureFormat(head.subarray(0, 32))) return 'picture'
  const archive = archiveFormat(head)
  if (archive) return archive === 'zip' ? 'zip' : 'tar'
  if (/\.zip$/i.test(path)) return 'zip' // and says itself what is wrong with it
  if (isShard(path)) return 'tar'
  if (isVideoName(path)) return 'video' // its bytes decide when it is opened
  return /\.toml$/i.test(path) ? 'toml' : null
}

/** The layout that the first files of a tree are in. */
export async function layoutOf(tree: FileTree, container: Container): Promise<SourceLayout> {
  if (container === 'tar' && (await hasSamples(tree))) return 'webdataset'
  const base = await baseOf(tree)
  const tops = new Set<string>()
  const inSplits = new Set<string>()
  let [count, shards] = [0, 0]
  for await (const { name } of tree.files()) {
    if (isMetadata(name)) return 'imagefolder'
    if (isShard(name)) shards++
    const inside = name.slice(base.length)
    const [top = '', second = '', ...further] = inside.split('/')
    if (inside.includes('/')) tops.add(top)
    if (further.length > 0 && splitOf(top)) inSplits.add(second)
    if (++count >= lookAt) break
  }
  if (container === 'folder' && shards > 0 && shards * 3 >= count) return 'webdataset' // beside shards lie their .parquet and .json lists
  for (const folder of ['', ...[...tops].map((top) => `${top}/`)])
    for (const list of metadataNames) if (await tree.find(`${base}${folder}${list}`)) return 'imagefolder'
  const names = [...tops]
  if (inSplits.size > 0 && [...inSplits].every((folder) => repeatsOf(folder))) return 'kohya'
  if (names.some((top) => splitOf(top) === 'train') && names.every((top) => splitOf(top))) return 'imagefolder'
  return names.some((top) => repeatsOf(top)) ? 'kohya' : 'plain'
}

/** Samples lie at the root of a tar, each in files that share a key and follow each other. */
async function hasSamples(tree: FileTree): Promise<boolean> {
  let [count, pairs, last] = [0, 0, '']
  for await (const { name } of tree.files()) {
    const key = name.slice(0, Math.max(0, name.indexOf('.')))
    if (name.includes('/') || key === '') return false
    if (key === last) pairs++
    last = key
    if (++count >= 100) break
  }
  return pairs > 0
}

const containers: Readonly<Record<Container, string>> = {
  folder: 'a folder',
  zip: 'a zip archive',
  tar: 'a tar archive',
  toml: 'a TOML file',
  picture: 'one picture',
  video: 'one video',
}
const layouts: Readonly<Record<SourceLayout, string>> = {
  plain: ' of pictures',
  imagefolder: " in the layout of Hugging Face's image folder",
  kohya: ' in the layout of kohya, whose folders say how often their pictures are shown',
  webdataset: ' of samples as WebDataset has them',
}

export function describe(container: Container, layout: SourceLayout): string {
  if (container === 'toml') return 'a TOML file that names folders, as kohya and diffusion-pipe have it'
  return container === 'picture' || container === 'video' ? containers[container] : `${containers[container]}${layouts[layout]}`
}
