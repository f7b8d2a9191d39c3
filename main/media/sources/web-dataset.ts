import type { SourceFacts } from '#contracts/dataset.ts'
import { PictureError } from '../picture.ts'
import { join, nameWords, readCaption } from './caption.ts'
import { fileLimitBytes, quoted, splitEnding, type FileTree, type TreeFile } from './file-tree.ts'
import { isVideoName } from '../video/video-folder.ts'
import { videoOf } from './picture-files.ts'
import type { Said, SourceItem } from './source-item.ts'
import { splitOf } from './split-name.ts'
import { TarTree } from './tar-tree.ts'

const pictureEndings = new Set(['.jpg', '.jpeg', '.png', '.webp', '.gif', '.tif', '.tiff', '.avif'])
const textEndings = new Set(['.txt', '.caption', '.json'])
const featureEndings = /(npy|npz|pth?|pyd|safetensors)$/i
const captionLimitBytes = 1024 * 1024

/** Files of a tar that share a key; a video counts as a picture: all of a name up to the first dot behind its last slash. */
interface Sample {
  pictures: TreeFile[]
  texts: TreeFile[]
}

const noWords: Said = { captions: [], tags: [], facts: {}, note: null }

/** Whether a file is a shard by its name. */
export function isShard(name: string): boolean {
  return /\.(tar|tgz|tar\.gz)$/i.test(name)
}

/**
 * Samples as WebDataset, img2dataset and ZigMa keep them: "0001.jpg", "0001.txt" and "0001.json", or "0001.image.png" and
 * "0001.caption.json".
 *
 * @param shard the tar's name, of which "train-00000.tar" and "train/00000.tar" tell the split.
 * @param folder prefix of the names in the ledger: '' for a tar on its own.
 */
export async function* shardItems(tar: FileTree, shard: string, folder: string): AsyncGenerator<SourceItem> {
  const samples = new Map<string, Sample>()
  const unused = new Map<string, number>()
  const split = splitOfShard(shard)
  for await (const file of tar.files()) {
    if (file.refused) {
      yield { source: `${folder}${file.name}`, refused: file.refused }
      continue
    }
    const [key, kind] = keyOf(file.name)
    const sample = samples.get(key) ?? { pictures: [], texts: [] }
    samples.set(key, sample)
    const ending = splitEnding(file.name)[1].toLowerCase()
    if (pictureEndings.has(ending) || isVideoName(file.name)) sample.pictures.push(file)
    else if (textEndings.has(ending)) sample.texts.push(file)
    else unused.set(kind, (unused.get(kind) ?? 0) + 1)
  }
  for (const [key, { pictures, texts }] of samples) {
    const [picture, ...others] = pictures
    if (picture) {
      const { facts, ...words } = await saidIn(key, texts)
      const said = { ...words, facts: { ...(split ? { split } : {}), ...facts } }
      const source = `${folder}${picture.name}`
      if (isVideoName(picture.name)) yield { source, ...said, video: videoOf(picture) }
      else yield { source, ...said, read: () => picture.read(fileLimitBytes) }
    } else if (texts.length > 0) {
      const why = (await errorIn(texts)) ?? 'Its picture is not in the tar.'
      yield { source: `${folder}${key}`, refused: { reason: 'file-missing', detail: `The sample has no picture. ${why}` } }
    }
    for (const { name } of others)
      yield {
        source: `${folder}${name}`,
        refused: { reason: 'not-used', detail: `The sample has two pictures or videos; ${quoted(picture!.name)} is used.` },
      }
  }
  for (const [kind, count] of unused) {
    const why = featureEndings.test(kind)
      ? 'the studio makes its own features from the pictures'
      : 'they are no pictures, captions or records'
    const detail = `${count.toLocaleString('en')} ${count === 1 ? 'file' : 'files'} ${quoted(`.${kind}`)} not used; ${why}.`
    yield { source: `${folder}*.${kind}`, refused: { reason: 'not-used', detail } }
  }
}

/** By the first word of a tar's name, or else by its folder's. */
function splitOfShard(shard: string): SourceFacts['split'] | null {
  const [name = '', folder = ''] = shard.split('/').reverse()
  return splitOf(/^[a-z]+/i.exec(name)?.[0].toLowerCase() ?? '') ?? splitOf(folder.toLowerCase())
}

/** All shards of a folder, one after the other: only the names in one of them are held in memory. */
export async function* shardFolder(tree: FileTree, openShard: (name: string) => Promise<TarTree>): AsyncGenerator<SourceItem> {
  for await (const file of tree.files()) {
    if (file.refused) yield { source: file.name, refused: file.refused }
    else if (!isShard(file.name)) yield { source: file.name, refused: beside }
    else yield* oneShard(file.name, openShard)
  }
}

const beside = {
  reason: 'not-used',
  detail: 'Only tars are read in this layout. Choose the plain layout if the pictures lie beside them.',
} as const

async function* oneShard(name: string, openShard: (name: string) => Promise<TarTree>): AsyncGenerator<SourceItem> {
  let tar: TarTree
  try {
    tar = await openShard(name)
  } catch (error) {
    if (!(error instanceof PictureError)) throw error
    yield { source: name, refused: { reason: error.reason, detail: error.message } }
    return
  }
  const reading = new Set<Promise<unknown>>()
  let isOpen = true
  /** Whoever lists a shard is ahead of who reads it: what is read when all of it is listed finds it opened again. */
  const later = (source: string, read: () => Promise<Uint8Array>) => async () => {
    const bytes = isOpen ? read() : readAgain(() => openShard(name), source.slice(name.length + 1))
    reading.add(bytes)
    return bytes.finally(() => reading.delete(bytes))
  }
  try {
    for await (const item of shardItems(tar, name, `${name}/`)) {
      const from = 'read' in item ? item : 'video' in item && 'read' in item.video ? item.video : null
      const read = from && later(item.source, () => from.read())
      if (read && 'read' in item) yield { ...item, read }
      else if (read && 'video' in item) yield { ...item, video: { read } }
      else yield item
    }
  } finally {
    isOpen = false
    await Promise.allSettled(reading)
    await tar.close()
  }
}

async function readAgain(open: () => Promise<TarTree>, name: string): Promise<Uint8Array> {
  const tar = await open()
  try {
    const file = await tar.find(name)
    if (!file) throw new PictureError('unreadable', 'The tar is another one now. Import it again.')
    return await file.read(fileLimitBytes)
  } finally {
    await tar.close()
  }
}

/** "a/0001.image.png" -> ["a/0001", "image.png"] */
function keyOf(name: string): [key: string, kind: string] {
  const dot = name.indexOf('.', name.lastIndexOf('/') + 1)
  return dot < 0 ? [name, ''] : [name.slice(0, dot), name.slice(dot + 1)]
}

/** Text files first, records behind them. */
async function saidIn(key: string, texts: readonly TreeFile[]): Promise<Said> {
  let said = noWords
  for (const file of texts.toSorted((a, b) => order(a) - order(b))) {
    said = join(said, await readCaption(file.name, () => file.read(captionLimitBytes)))
  }
  return said.captions.length > 0 ? said : { ...said, captions: [isMadeUp(key) ? '' : nameWords(key)] }
}

/** Keys are mostly numbers and hashes, which say nothing of the picture. */
function isMadeUp(key: string): boolean {
  return /^[\d_-]*$|^[0-9a-f-]{8,}$/i.test(key.slice(key.lastIndexOf('/') + 1))
}

const order = ({ name }: TreeFile): number => (name.endsWith('.json') ? 1 : 0)

/** What img2dataset says of a picture that it could not get. */
async function errorIn(texts: readonly TreeFile[]): Promise<string | null> {
  for (const file of texts) {
    if (!file.name.endsWith('.json')) continue
    try {
      const { error_message: message } = JSON.parse(Buffer.from(await file.read(captionLimitBytes)).toString('utf8')) as Record<
        string,
        unknown
      >
      if (typeof message === 'string') return `Its maker noted: ${JSON.stringify(message.slice(0, 120))}.`
    } catch {
      return 'What its maker noted cannot be read.'
    }
  }
  return null
}
