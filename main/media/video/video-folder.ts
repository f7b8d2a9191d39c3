import { lstat, readdir, realpath } from 'node:fs/promises'
import { basename, join, relative, sep } from 'node:path'
import { StudioError } from '#contracts/errors.ts'

export interface SourceVideo {
  /** Path inside the source, with forward slashes. */
  source: string
  path: string
  sizeBytes: number
  modifiedMs: number
}

const names = ['mp4', 'm4v', 'mov', 'mkv', 'webm', 'avi', 'ts', 'm2ts', 'mts', '3gp']
/** How files that may be videos are called. */
export const videoNames = new RegExp(`\\.(${names.join('|')})$`, 'i')
const depthLimit = 32

/** What a video's file name ends in, in small and in capital letters. */
export const videoEndings: readonly string[] = names.flatMap((name) => [`.${name}`, `.${name.toUpperCase()}`])

export function isVideoName(name: string): boolean {
  return videoNames.test(name)
}

/** The files in a folder that are called like videos, in an order that does not depend on the file system. Links are not followed. A video is its own only one. */
export async function listVideos(root: string): Promise<SourceVideo[]> {
  const real = await realpath(root).catch((cause: unknown) => {
    throw new StudioError('bad-source', `The folder "${root}" cannot be read. Check that it is there and that you may open it.`, { cause })
  })
  const info = await lstat(real)
  if (info.isFile())
    return isVideoName(real) ? [{ source: basename(real), path: real, sizeBytes: info.size, modifiedMs: info.mtimeMs }] : []
  const videos: SourceVideo[] = []
  await walk(real, real, 0, videos)
  return videos.sort((a, b) => (a.source < b.source ? -1 : 1))
}

async function walk(root: string, folder: string, depth: number, videos: SourceVideo[]): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const path = join(folder, name)
    const info = await lstat(path).catch(() => null)
    if (info?.isDirectory() && depth < depthLimit) await walk(root, path, depth + 1, videos)
    else if (info?.isFile() && isVideoName(name))
      videos.push({ source: relative(root, path).split(sep).join('/'), path, sizeBytes: info.size, modifiedMs: info.mtimeMs })
  }
}
