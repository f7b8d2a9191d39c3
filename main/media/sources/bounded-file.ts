import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { isCode } from '../../store/safe-fs.ts'
import { PictureError } from '../picture.ts'

// A name may become a link or a pipe between the look at it and the opening; neither is followed or waited for.
const readOnly = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)

/** A regular file, opened for reading. @throws PictureError when it is none or cannot be opened. */
export async function openRegular(path: string): Promise<FileHandle> {
  const handle = await open(path, readOnly).catch((cause: unknown) => {
    if (isCode(cause, 'ELOOP')) throw linked(cause)
    if (isCode(cause, 'ENXIO')) throw notAFile(cause)
    throw new PictureError('unreadable', 'The file could not be opened. Check its permissions.', cause)
  })
  const info = await handle.stat()
  if (info.isFile()) return handle
  await handle.close()
  throw notAFile()
}

/** All bytes of a file. @throws PictureError too-large above `limitBytes`; unreadable; not-a-file. */
export async function readBounded(path: string, limitBytes: number): Promise<Uint8Array> {
  const handle = await openRegular(path)
  try {
    const { size } = await handle.stat()
    checkSize(size, limitBytes)
    return await readRange(handle, 0, size)
  } finally {
    await handle.close()
  }
}

/** Exactly `count` bytes from `at` on. @throws PictureError unreadable when the file ends before. */
export async function readRange(handle: FileHandle, at: number, count: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(count)
  const done = await readInto(handle, at, bytes)
  if (done < count) throw new PictureError('unreadable', `The file ends ${count - done} bytes early. Copy it again from its source.`)
  return bytes
}

/** Fills `bytes` from `at` on; how many there were. @throws PictureError unreadable when the disk fails. */
export async function readInto(handle: FileHandle, at: number, bytes: Uint8Array): Promise<number> {
  let done = 0
  while (done < bytes.length) {
    const { bytesRead } = await handle.read(bytes, done, bytes.length - done, at + done).catch((cause: unknown) => {
      throw new PictureError('unreadable', 'The file could not be read to its end. Check the disk it lies on.', cause)
    })
    if (bytesRead === 0) break
    done += bytesRead
  }
  return done
}

/** The first bytes of a file, at most `count`; none where it cannot be opened. */
export async function readHead(path: string, count: number): Promise<Uint8Array> {
  const handle = await openRegular(path).catch(() => null)
  if (!handle) return new Uint8Array()
  try {
    const { buffer, bytesRead } = await handle.read(new Uint8Array(count), 0, count, 0)
    return buffer.subarray(0, bytesRead)
  } catch {
    return new Uint8Array() // whoever reads all of it is told why it cannot be read
  } finally {
    await handle.close()
  }
}

/** @throws PictureError too-large above the limit. */
export function checkSize(sizeBytes: number, limitBytes: number): void {
  if (sizeBytes > limitBytes)
    throw new PictureError('too-large', `The file has ${mebibytes(sizeBytes)}, more than the ${mebibytes(limitBytes)} that are read.`)
}

function mebibytes(bytes: number): string {
  return bytes < 1024 * 1024 ? `${bytes} bytes` : `${Math.round(bytes / 2 ** 20).toLocaleString('en')} MiB`
}

function linked(cause: unknown): PictureError {
  return new PictureError('link-outside', 'Links are not followed. Copy the picture itself into the folder.', cause)
}

function notAFile(cause?: unknown): PictureError {
  return new PictureError('not-a-file', 'This is a pipe, a socket or a device, not a file.', cause)
}
