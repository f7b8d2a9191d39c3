import { lstat, open, readdir, readFile, realpath } from 'node:fs/promises'
import { basename, dirname, extname, join, relative, sep } from 'node:path'
import type { LedgerReason } from '#contracts/dataset.ts'
import { StudioError } from '#contracts/errors.ts'
import { pictureFormat } from './picture.ts'

/** A file of a source: with a caption and a way to its bytes, or with the reason why it has none. */
export interface SourceItem {
  /** Path inside the source, with forward slashes. */
  source: string
  path: string
  caption: string
  /** Something about the caption that the artist should know. */
  captionNote: { reason: LedgerReason; detail: string } | null
  refused: { reason: LedgerReason; detail: string } | null
}

const captionFiles = new Set(['.txt', '.caption', '.jsonl', '.json'])
const pictureNames = /\.(png|jpe?g|webp|gif|tiff?|avif|svg|bmp|heic|heif|ico|psd|pdf|jxl)$/i
const sizeLimitBytes = 512 * 1024 * 1024
const depthLimit = 32

/** Everything in a folder, in an order that does not depend on the file system. Links that lead outside are not followed. */
export async function listFolder(root: string): Promise<SourceItem[]> {
  const real = await realpath(root).catch((cause: unknown) => {
    throw new StudioError('bad-source', `The folder "${root}" cannot be read. Check that it is there and that you may open it.`, { cause })
  })
  const metadata = await readMetadata(real)
  const items: SourceItem[] = []
  await walk(real, real, 0, metadata, items)
  return items.sort((a, b) => (a.source < b.source ? -1 : 1))
}

async function walk(
  root: string,
  folder: string,
  depth: number,
  metadata: ReadonlyMap<string, string>,
  items: SourceItem[],
): Promise<void> {
  const names = (await readdir(folder)).sort()
  for (const name of names) {
    const path = join(folder, name)
    const source = relative(root, path).split(sep).join('/')
    const refuse = (reason: LedgerReason, detail: string) =>
      items.push({ source, path, caption: '', captionNote: null, refused: { reason, detail } })
    const info = await lstat(path).catch(() => null)
    if (!info) refuse('unreadable', 'The file could not be looked at. Check its permissions.')
    else if (info.isDirectory()) {
      if (depth + 1 > depthLimit) refuse('unreadable', `The folder lies deeper than ${depthLimit} levels.`)
      else
        await walk(root, path, depth + 1, metadata, items).catch(() =>
          refuse('unreadable', 'The folder could not be opened. Check its permissions.'),
        )
    } else if (info.isSymbolicLink()) {
      refuse('link-outside', 'Links are not followed. Copy the picture itself into the folder.')
    } else if (!info.isFile()) {
      refuse('not-a-file', 'This is a pipe, a socket or a device, not a file.')
    } else if (captionFiles.has(extname(name).toLowerCase())) continue
    else if (!pictureNames.test(name) && !(await startsLikePicture(path))) {
      refuse('not-a-picture', 'The file is not a picture.')
    } else if (info.size > sizeLimitBytes) {
      refuse('unreadable', `The file has ${Math.round(info.size / 2 ** 20)} MiB, more than the ${sizeLimitBytes / 2 ** 20} that are read.`)
    } else items.push({ source, path, refused: null, ...(await captionOf(path, source, metadata)) })
  }
}

async function startsLikePicture(path: string): Promise<boolean> {
  const handle = await open(path).catch(() => null)
  if (!handle) return false
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(32), 0, 32, 0)
    return pictureFormat(buffer.subarray(0, bytesRead)) !== null
  } finally {
    await handle.close()
  }
}

/** `metadata.jsonl` of the Hugging Face image folder: a line `{"file_name": ..., "text": ...}` a picture. */
async function readMetadata(root: string): Promise<Map<string, string>> {
  const text = await readFile(join(root, 'metadata.jsonl'), 'utf8').catch(() => '')
  const captions = new Map<string, string>()
  for (const line of text.split('\n')) {
    try {
      const { file_name: name, text: caption } = JSON.parse(line) as Record<string, unknown>
      if (typeof name === 'string' && typeof caption === 'string') captions.set(name, caption)
    } catch {
      continue // a line that is not JSON captions nothing; the picture falls back to its sidecar or its name
    }
  }
  return captions
}

/** Sidecar file, then metadata.jsonl, then the words of the file's name. */
async function captionOf(
  path: string,
  source: string,
  metadata: ReadonlyMap<string, string>,
): Promise<Pick<SourceItem, 'caption' | 'captionNote'>> {
  const stem = path.slice(0, path.length - extname(path).length)
  for (const sidecar of [`${stem}.txt`, `${stem}.caption`]) {
    const bytes = await readFile(sidecar).catch(() => null)
    if (!bytes) continue
    try {
      return { caption: tidy(new TextDecoder('utf-8', { fatal: true }).decode(bytes)), captionNote: null }
    } catch {
      return {
        caption: nameWords(path),
        captionNote: {
          reason: 'caption-not-utf8',
          detail: `The caption file "${basename(sidecar)}" is not UTF-8; the file's name is used instead. Save it as UTF-8.`,
        },
      }
    }
  }
  return { caption: metadata.has(source) ? tidy(metadata.get(source)!) : nameWords(path), captionNote: null }
}

const captionLimit = 2000
const tidy = (text: string): string => text.replace(/\s+/g, ' ').trim().slice(0, captionLimit)

/** "red-apple_02.png" -> "red apple"; a name without words falls back to its folder's. */
function nameWords(path: string): string {
  const words = (name: string) => tidy(name.replace(/[-_.]+/g, ' ').replace(/\b\d+\b/g, ' '))
  return words(basename(path, extname(path))) || words(basename(dirname(path)))
}
