import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { VideoError } from './video-error.ts'

/** sha256 of a file of any size. @throws VideoError unreadable; the signal's reason. */
export async function hashFile(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256')
  try {
    await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), hash, { signal })
  } catch (error) {
    signal.throwIfAborted()
    throw new VideoError('unreadable', 'The file could not be read. Check its permissions.', error)
  }
  return hash.digest('hex')
}
