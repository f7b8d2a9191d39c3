import { consent, type SourceFacts } from '#contracts/dataset.ts'
import { wholeClip, type WholeClip } from '#contracts/video.ts'
import { PictureError } from '../picture.ts'
import { quoted, splitEnding, type FileTree } from './file-tree.ts'
import type { Remark, Said } from './source-item.ts'
import { splitOf } from './split-name.ts'

const captionLimit = 2000
const captionsLimit = 20
const tagLimit = 100
const tagsLimit = 200
const captionFileBytes = 1024 * 1024

/** What a caption file may be called beside "name.png"; all of them count, in this order. */
export const captionEndings = ['.txt', '.caption', '.json'] as const

/** One line without control characters and doubled spaces, whole characters only. */
export function tidy(text: string, limit = captionLimit): string {
  return text
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim()
    .slice(0, limit)
    .toWellFormed()
    .replace(/\ufffd$/, '')
    .trimEnd()
}

/** Text in UTF-8, or in UTF-16 with its mark; null where it is neither, or holds NUL. */
export function decodeText(bytes: Uint8Array): string | null {
  const encoding = bytes[0] === 0xff && bytes[1] === 0xfe ? 'utf-16le' : bytes[0] === 0xfe && bytes[1] === 0xff ? 'utf-16be' : 'utf-8'
  try {
    const text = new TextDecoder(encoding, { fatal: true }).decode(bytes)
    return text.includes('\0') ? null : text
  } catch {
    return null
  }
}

/** "red-apple_02.png" -> "red apple"; a name without words falls back to its folder's. */
export function nameWords(name: string): string {
  const parts = splitEnding(name)[0].split('/')
  return words(parts.at(-1) ?? '') || words(parts.at(-2) ?? '')
}

/** The words of the innermost folder that has some: "red-apples/2024/02.png" -> "red apples". */
export function folderWords(name: string): string {
  const folders = name.split('/').slice(0, -1)
  return words(folders.findLast((folder) => words(folder) !== '') ?? '')
}

function words(part: string): string {
  return tidy(part.replace(/[-_.]+/g, ' ').replace(/\b\d+\b/g, ' '))
}

/** What the caption files beside a picture say; null where there is none. */
export async function captionFiles(tree: FileTree, picture: string): Promise<Said | null> {
  const [stem] = splitEnding(picture)
  let said: Said | null = null
  for (const ending of captionEndings) {
    const file = await tree.find(`${stem}${ending}`)
    if (!file) continue
    const read = await readCaption(`${stem}${ending}`, () => file.read(captionFileBytes))
    said = said ? join(said, read) : read
  }
  return said
}

/** One caption file. What is wrong with it is told, and the rest of it is used. */
export async function readCaption(name: string, read: () => Promise<Uint8Array>): Promise<Said> {
  const file = quoted(name.slice(name.lastIndexOf('/') + 1))
  let bytes: Uint8Array
  try {
    bytes = await read()
  } catch (error) {
    if (!(error instanceof PictureError)) throw error
    if (error.reason === 'too-large')
      return broken('caption-too-long', `The caption file ${file} has more than 1 MiB; the name is used instead. Shorten it.`)
    return broken('caption-missing', `The caption file ${file} could not be read; the name is used instead. Check its permissions.`)
  }
  const text = decodeText(bytes)
  if (text === null)
    return broken('caption-not-utf8', `The caption file ${file} is not UTF-8; the file's name is used instead. Save it as UTF-8.`)
  if (!name.endsWith('.json')) return sayAll([text], [], {}, file)
  try {
    return sayRecord(JSON.parse(text) as unknown, file)
  } catch {
    return broken('metadata-broken', `The caption file ${file} is not JSON; the file's name is used instead. Correct or remove it.`)
  }
}

/** Captions, tags and facts of a record of any of the usual makers: kohya, img2dataset, Hugging Face, ZigMa. */
export function sayRecord(value: unknown, from: string): Said {
  if (typeof value === 'string') return sayAll([value], [], {}, from)
  if (Array.isArray(value)) return sayAll(texts(value), [], {}, from)
  if (typeof value !== 'object' || value === null) return sayAll([], [], {}, from)
  const record = new Map(Object.entries(value))
  const captions = captionKeys.flatMap((key) => texts(record.get(key)))
  const tags = tagKeys.flatMap((key) => texts(record.get(key))).flatMap((text) => text.split(','))
  const whole = wholeOf(record)
  return { ...sayAll(captions, tags, factsOf(record), from), ...(whole ? { whole } : {}) }
}

export const captionKeys: readonly string[] = ['text', 'caption', 'captions', 'prompt', 'description']
export const tagKeys: readonly string[] = ['tags', 'tag']
const factKeys: readonly (readonly [keyof SourceFacts & ('author' | 'licence' | 'origin'), readonly string[], number])[] = [
  ['licence', ['license', 'licence'], 500],
  ['author', ['author', 'artist', 'creator'], 500],
  ['origin', ['url', 'source', 'origin'], 2000],
]

export const factColumns: ReadonlySet<string> = new Set([
  ...factKeys.flatMap(([, keys]) => keys),
  ...['split', 'repeats', 'concept', 'consent'],
])
const repeatsLimit = 10_000

/** What says of a video that it is one clip as it is: how many frames it has, and how many a second. */
export const wholeKeys = { frames: 'clip_frames', frameRate: 'clip_frame_rate' } as const
/** Columns that hold numbers, and which numbers these may be. */
export const numberColumns: ReadonlyMap<string, (value: number) => boolean> = new Map([
  ['repeats', Number.isInteger],
  [wholeKeys.frames, Number.isInteger],
  [wholeKeys.frameRate, Number.isFinite],
])

function wholeOf(record: ReadonlyMap<string, unknown>): WholeClip | null {
  const [frames, frameRate] = [wholeKeys.frames, wholeKeys.frameRate].map((key) => Number(record.get(key) ?? NaN))
  return wholeClip.safeParse({ frames, frameRate }).data ?? null
}

function factsOf(record: ReadonlyMap<string, unknown>): SourceFacts {
  const facts: SourceFacts = {}
  for (const [fact, keys, limit] of factKeys) {
    const text = tidy(keys.flatMap((key) => texts(record.get(key)))[0] ?? '', limit)
    if (text !== '') facts[fact] = text
  }
  const only = (key: string) => texts(record.get(key))[0]?.trim() ?? ''
  const split = splitOf(only('split').toLowerCase())
  const concept = tidy(only('concept'), 500)
  const agreed = consent.safeParse(only('consent')).data
  const repeats = Number(record.get('repeats') ?? NaN)
  if (split) facts.split = split
  if (concept !== '') facts.concept = concept
  if (agreed && agreed !== 'unknown') facts.consent = agreed
  if (Number.isInteger(repeats) && repeats >= 1 && repeats <= repeatsLimit) facts.repeats = repeats
  return facts
}

/** The texts in a value of a record; none in one of another kind. */
export function texts(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : []
}

function sayAll(captions: readonly string[], tags: readonly string[], facts: SourceFacts, from: string): Said {
  const longest = Math.max(0, ...captions.map(({ length }) => length))
  const tidied = unique(captions.map((caption) => tidy(caption)).filter((caption, i) => caption !== '' || i === 0))
  const note: Remark | null =
    longest > captionLimit &&
    tidy(
      captions.find(({ length }) => length === longest)!,
      longest,
    ).length > captionLimit
      ? {
          reason: 'caption-too-long',
          detail: `A caption in ${from} has ${longest.toLocaleString('en')} characters; the first ${captionLimit.toLocaleString('en')} are used.`,
        }
      : null
  return {
    captions: tidied.slice(0, captionsLimit),
    tags: unique(tags.map((tag) => tidy(tag.toLowerCase().normalize('NFC').replaceAll(',', ' '), tagLimit)).filter(Boolean)).slice(
      0,
      tagsLimit,
    ),
    facts,
    note,
  }
}

function broken(reason: Remark['reason'], detail: string): Said {
  return { captions: [], tags: [], facts: {}, note: { reason, detail } }
}

/** Both; what the first says counts where they differ. */
export function join(first: Said, second: Said): Said {
  return {
    captions: unique([...first.captions, ...second.captions].filter((caption, i) => caption !== '' || i === 0)).slice(0, captionsLimit),
    tags: unique([...first.tags, ...second.tags]).slice(0, tagsLimit),
    facts: { ...second.facts, ...first.facts },
    note: first.note ?? second.note,
    whole: first.whole ?? second.whole,
  }
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)]
}
