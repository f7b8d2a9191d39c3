import { createHash, randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { link, mkdir, open, readdir, rename, rm, rmdir, stat, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { StudioError } from '#contracts/errors.ts'

/** The calls that can fail, as tests make them fail. */
export type FileOperation = 'open' | 'write' | 'sync' | 'rename' | 'folder' | 'remove'

/** Called before every operation; throws to make it fail, or returns how many bytes of a write are really written. */
export type FaultHook = (operation: FileOperation, path: string, sizeBytes: number) => number | undefined

const temporaryPrefix = '.tmp-'
/** What the system allows by its mask; a file with a secret asks for 0o600. */
const openMode = 0o666
/** A file that is written piece by piece is synced each time that it grew by this much. */
const syncEveryBytes = 8 * 1024 * 1024

/**
 * The one way in which the studio writes files: nothing is ever half there. A file is written under a temporary name, synced, checked and
 * renamed; a disk may write fewer bytes than asked without saying so, so every count is checked.
 */
export class SafeFs {
  readonly #fault: FaultHook
  readonly #appending = new Map<string, Promise<unknown>>()

  constructor(fault: FaultHook = () => undefined) {
    this.#fault = fault
  }

  async folder(path: string): Promise<void> {
    await this.#guard('folder', path, 0, () => mkdir(path, { recursive: true }))
  }

  /** The whole file or nothing; replaces what was there. */
  async writeFile(path: string, bytes: Uint8Array | string, { mode = openMode }: { mode?: number } = {}): Promise<void> {
    const temporary = temporaryBeside(path)
    try {
      await this.#writeNew(temporary, toBytes(bytes), mode)
      await this.#guard('rename', path, 0, () => rename(temporary, path))
    } catch (error) {
      await rm(temporary, { force: true })
      throw error
    }
    await this.#syncFolder(dirname(path))
  }

  /** The whole file, only if there is none of that name; false when there is one. Of two that try at once, one succeeds. */
  async createFile(path: string, bytes: Uint8Array | string): Promise<boolean> {
    const temporary = temporaryBeside(path)
    try {
      await this.#writeNew(temporary, toBytes(bytes))
      await this.#guard('rename', path, 0, () => link(temporary, path))
    } catch (error) {
      if (isCode(error, 'EEXIST')) return false
      throw error
    } finally {
      await rm(temporary, { force: true })
    }
    await this.#syncFolder(dirname(path))
    return true
  }

  /** A file that is written piece by piece and is not there before it is kept; for what does not fit into memory. */
  async newFile(path: string): Promise<NewFile> {
    const temporary = temporaryBeside(path)
    const handle = await this.#guard('open', path, 0, () => open(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL))
    let [sizeBytes, syncedBytes] = [0, 0]
    let syncing: Promise<void> | null = null
    let failure: unknown = null
    // On its way to the disk while more is made, so that keeping a large file waits for its last part alone.
    const syncMeanwhile = () => {
      if (syncing || sizeBytes - syncedBytes < syncEveryBytes) return
      syncedBytes = sizeBytes
      syncing = this.#guard('sync', path, 0, () => handle.datasync())
        .catch((error: unknown) => {
          failure ??= error
        })
        .finally(() => (syncing = null))
    }
    return {
      write: async (bytes) => {
        if (failure) throw failure as Error
        await this.#writeAll(handle, temporary, bytes)
        sizeBytes += bytes.length
        syncMeanwhile()
      },
      keep: async () => {
        await syncing
        if (failure) throw failure as Error
        await this.#guard('sync', path, 0, () => handle.sync())
        await checkSize(handle, path, sizeBytes)
        await handle.close()
        await this.#guard('rename', path, 0, () => rename(temporary, path))
        await this.#syncFolder(dirname(path))
      },
      discard: async () => {
        await syncing
        await handle.close()
        await rm(temporary, { force: true })
      },
    }
  }

  /** A folder of files that appears at once, complete; returns its size. The last file written is the manifest, with every file's sha256. */
  async writeFolder(
    path: string,
    files: ReadonlyMap<string, Uint8Array>,
    manifest: (entries: readonly FileEntry[]) => Uint8Array,
  ): Promise<number> {
    const temporary = temporaryBeside(path)
    try {
      await this.folder(temporary)
      const entries: FileEntry[] = []
      for (const [name, bytes] of files) {
        await this.#writeNew(join(temporary, name), bytes)
        entries.push({ name, sizeBytes: bytes.length, sha256: sha256(bytes) })
      }
      await this.#writeNew(join(temporary, manifestName), manifest(entries))
      await this.#syncFolder(temporary)
      await rm(path, { recursive: true, force: true })
      await this.#guard('rename', path, 0, () => rename(temporary, path))
      await this.#syncFolder(dirname(path))
      return entries.reduce((sum, entry) => sum + entry.sizeBytes, 0)
    } catch (error) {
      await rm(temporary, { recursive: true, force: true })
      throw error
    }
  }

  /**
   * A folder that is filled file by file and is not there before it is kept; for what does not fit into memory. Its temporary name beside it is
   * `newFolderName(path, key)`, so that what a killed process left of it can be found again; that is removed first.
   */
  async newFolder(path: string, key: string): Promise<NewFolder> {
    const temporary = newFolderName(path, key)
    await rm(temporary, { recursive: true, force: true })
    await this.folder(temporary)
    const made = new Set([temporary])
    const place = async (name: string) => {
      const file = join(temporary, ...name.split('/'))
      if (!made.has(dirname(file))) {
        await this.folder(dirname(file))
        made.add(dirname(file))
      }
      return file
    }
    return {
      write: async (name, bytes) => this.#writeNew(await place(name), toBytes(bytes)),
      file: async (name) => this.newFile(await place(name)),
      made: async (name, make) => {
        const file = await place(name)
        await make(file)
        const handle = await this.#guard('open', file, 0, () => open(file, constants.O_RDWR))
        try {
          await this.#guard('sync', file, 0, () => handle.sync())
          return (await handle.stat()).size
        } finally {
          await handle.close()
        }
      },
      keep: async () => {
        for (const folder of made) await this.#syncFolder(folder)
        await rmdir(path).catch((error: unknown) => {
          if (!isCode(error, 'ENOENT')) throw error // an empty folder makes place, any other stays
        })
        await this.#guard('rename', path, 0, () => rename(temporary, path))
        await this.#syncFolder(dirname(path))
      },
      discard: () => rm(temporary, { recursive: true, force: true }),
    }
  }

  /** Adds whole lines to the end of a text file and syncs, one call after the other. What a crash or a full disk left of a line is cut off first. */
  async append(path: string, lines: Uint8Array | string): Promise<void> {
    const before = this.#appending.get(path)
    const mine = (before ?? Promise.resolve()).then(() => this.#appendNow(path, lines))
    const settled = mine.catch(() => undefined) // the caller hears of it; the next one only waits
    this.#appending.set(path, settled)
    await mine.finally(() => this.#appending.get(path) === settled && this.#appending.delete(path))
  }

  /**
   * Bytes at a place of a file that grows, synced. A crash may leave a part of them, so what stands behind the last bytes that a list speaks of is
   * written over by the next; `at` is in bytes.
   */
  async writeAt(path: string, at: number, bytes: Uint8Array): Promise<void> {
    const handle = await this.#guard('open', path, 0, () => open(path, constants.O_WRONLY | constants.O_CREAT))
    try {
      await this.#writeAll(handle, path, bytes, at)
      await this.#guard('sync', path, 0, () => handle.sync())
    } finally {
      await handle.close()
    }
    if (at === 0) await this.#syncFolder(dirname(path))
  }

  async #appendNow(path: string, lines: Uint8Array | string): Promise<void> {
    const handle = await this.#guard('open', path, 0, () => open(path, 'a+'))
    try {
      await cutTornLine(handle)
      await this.#writeAll(handle, path, toBytes(lines))
      await this.#guard('sync', path, 0, () => handle.sync())
    } finally {
      await handle.close()
    }
  }

  /** Writes bytes at `offset` of a file, which ends with them, and syncs: what lay behind is cut off first. The file is made where it is not. */
  async appendRecords(path: string, bytes: Uint8Array, offset: number): Promise<void> {
    const isNew = !(await exists(path))
    const handle = await this.#guard('open', path, 0, () => open(path, constants.O_RDWR | constants.O_CREAT))
    try {
      await handle.truncate(offset)
      await this.#writeAll(handle, path, bytes, offset)
      await this.#guard('sync', path, 0, () => handle.sync())
      await checkSize(handle, path, offset + bytes.length)
    } finally {
      await handle.close()
    }
    if (isNew) await this.#syncFolder(dirname(path))
  }

  async remove(path: string): Promise<void> {
    await this.#guard('remove', path, 0, () => rm(path, { recursive: true, force: true }))
  }

  async move(from: string, to: string): Promise<void> {
    await this.folder(dirname(to))
    await this.#guard('rename', to, 0, () => rename(from, to))
    await this.#syncFolder(dirname(to))
  }

  /** Temporary files of a process that was killed. */
  async sweep(folder: string): Promise<void> {
    for (const name of await readdir(folder).catch(() => [])) {
      if (name.startsWith(temporaryPrefix)) await rm(join(folder, name), { recursive: true, force: true })
    }
  }

  async #writeNew(path: string, bytes: Uint8Array, mode = openMode): Promise<void> {
    const handle = await this.#guard('open', path, 0, () => open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, mode))
    try {
      await this.#writeAll(handle, path, bytes)
      await this.#guard('sync', path, 0, () => handle.sync())
      await checkSize(handle, path, bytes.length)
    } finally {
      await handle.close()
    }
  }

  async #writeAll(handle: FileHandle, path: string, bytes: Uint8Array, at: number | null = null): Promise<void> {
    let written = 0
    while (written < bytes.length) {
      const count = await this.#guard('write', path, bytes.length - written, async (allowed) => {
        const { bytesWritten } = await handle.write(bytes, written, allowed, at === null ? null : at + written)
        return bytesWritten
      })
      if (count === 0)
        throw new StudioError(
          'disk-full',
          `The disk took none of the last ${bytes.length - written} bytes of "${nameOf(path)}". Free some space and try again.`,
        )
      written += count
    }
  }

  async #syncFolder(path: string): Promise<void> {
    if (process.platform === 'win32') return // Windows cannot sync a folder
    const handle = await open(path, constants.O_RDONLY)
    try {
      await this.#guard('sync', path, 0, () => handle.sync())
    } finally {
      await handle.close()
    }
  }

  async #guard<T>(operation: FileOperation, path: string, sizeBytes: number, work: (sizeBytes: number) => Promise<T>): Promise<T> {
    try {
      return await work(this.#fault(operation, path, sizeBytes) ?? sizeBytes)
    } catch (error) {
      if (isCode(error, 'ENOSPC') || isCode(error, 'EDQUOT')) {
        throw new StudioError(
          'disk-full',
          `The disk is full: "${nameOf(path)}" could not be written. Free some space and go on; nothing was lost.`,
          { cause: error },
        )
      }
      throw error
    }
  }
}

/** A file of `SafeFs.newFile` while it is written: ends with one call of keep or of discard; after a keep that failed, discard. */
export interface NewFile {
  write(bytes: Uint8Array): Promise<void>
  keep(): Promise<void>
  discard(): Promise<void>
}

/** A folder of `SafeFs.newFolder` while it is filled: ends with one call of keep or of discard; after a keep that failed, discard. */
export interface NewFolder {
  /** A whole file, by its path inside with forward slashes; there must be none of that name. */
  write(name: string, bytes: Uint8Array | string): Promise<void>
  /** A file that is written piece by piece. */
  file(name: string): Promise<NewFile>
  /** A file that another program makes at a path; its size in bytes. */
  made(name: string, make: (path: string) => Promise<void>): Promise<number>
  keep(): Promise<void>
  discard(): Promise<void>
}

/** What a new folder is called until it is kept. */
export function newFolderName(path: string, key: string): string {
  return join(dirname(path), `${temporaryPrefix}${key}-${basename(path)}`)
}

async function checkSize(handle: FileHandle, path: string, sizeBytes: number): Promise<void> {
  const { size } = await handle.stat()
  if (size !== sizeBytes)
    throw new StudioError(
      'disk-full',
      `"${nameOf(path)}" has ${size} bytes on the disk instead of ${sizeBytes}. Free some space and try again.`,
    )
}

function temporaryBeside(path: string): string {
  return join(dirname(path), `${temporaryPrefix}${randomUUID()}-${basename(path)}`)
}

/** The name that people know a file by, also while it has a temporary one. */
function nameOf(path: string): string {
  return basename(path).replace(/^\.tmp-[0-9a-f-]{36}-/, '')
}

export interface FileEntry {
  name: string
  sizeBytes: number
  sha256: string
}

/** The file that is written last and makes a folder complete. */
export const manifestName = 'manifest.json'

export function sha256(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex')
}

export function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}

export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

/** Cuts a text file behind its last line end, so that a line that was cut short does not run into the next. */
async function cutTornLine(handle: FileHandle): Promise<void> {
  const { size } = await handle.stat()
  const chunk = Buffer.alloc(64 * 1024)
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - chunk.length)
    const { bytesRead } = await handle.read(chunk, 0, end - start, start)
    const keep = chunk.subarray(0, bytesRead).lastIndexOf('\n') + 1
    if (start + keep === size) return
    if (keep > 0 || start === 0) return handle.truncate(start + keep)
    end = start
  }
}

function toBytes(bytes: Uint8Array | string): Uint8Array {
  return typeof bytes === 'string' ? new TextEncoder().encode(bytes) : bytes
}
