import { lstat, readdir, readFile, realpath } from 'node:fs/promises'
import { basename, dirname, extname, join, relative, sep } from 'node:path'
import { StudioError } from '#contracts/errors.ts'

export interface SourceVideo {
  /** Path inside the source, with forward slashes. */
  source: string
  path: string
  sizeBytes: number
  modifiedMs: number
}

/** How files that may be videos are called. */
export const videoNames = /\.(mp4|m4v|mov|mkv|webm|avi|ts|m2ts|mts|3gp)$/i
const depthLimit = 32
const captionLimit = 2000
const captionFileLimit = 1024 * 1024

/** The files in a folder that are called like videos, in an order that does not depend on the file system. Links are not followed. */
export async function listVideos(root: string): Promise<SourceVideo[]> {
  const real = await realpath(root).catch((cause: unknown) => {
    throw new StudioError('bad-source', `The folder "${root}" cannot be read. Check that it is there and that you may open it.`, { cause })
  })
  const videos: SourceVideo[] = []
  await walk(real, real, 0, videos)
  return videos.sort((a, b) => (a.source < b.source ? -1 : 1))
}

async function walk(root: string, folder: string, depth: number, videos: SourceVideo[]): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const path = join(folder, name)
    const info = await lstat(path).catch(() => null)
    if (info?.isDirectory() && depth < depthLimit) await walk(root, path, depth + 1, videos)
    else if (info?.isFile() && videoNames.test(name))
      videos.push({ source: relative(root, path).split(sep).join('/'), path, sizeBytes: info.size, modifiedMs: info.mtimeMs })
  }
}

/** The text file beside a video, else the words of its name, else those of its folder's. */
export async function videoCaption(path: string): Promise<string> {
  const stem = path.slice(0, path.length - extname(path).length)
  for (const ending of ['.txt', '.caption']) {
    const info = await lstat(`${stem}${ending}`).catch(() => null)
    if (!info?.isFile() || info.size > captionFileLimit) continue
    const text = tidy((await readFile(`${stem}${ending}`)).toString('utf8'))
    if (text !== '' && !text.includes('\ufffd')) return text
  }
  const words = (name: string) => tidy(name.replace(/[-_.]+/g, ' ').replace(/\b\d+\b/g, ' '))
  return words(basename(stem)) || words(basename(dirname(path)))
}

const tidy = (text: string): string =>
  text
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim()
    .slice(0, captionLimit)
    .toWellFormed()
