import { constants } from 'node:fs'
import { open, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { StudioError } from '#contracts/errors.ts'
import type { ModelFolder } from '#engine/ports.ts'
import { isCode, sha256 } from '../store/safe-fs.ts'

/** The folder in which the usual tools put a model's graphs, beside its settings. */
const graphFolder = 'onnx'

/** The files of a model that somebody else made: plain files of that folder alone, no links, none larger than is asked for. */
export function openModelFolder(folder: string): ModelFolder {
  return {
    read: async (name, limitBytes) => {
      if (!/^[\w-][\w.-]*$/.test(name)) throw new TypeError(`openModelFolder: "${name}" is not a file's name`)
      const real = await realpath(folder)
      const inner = join(real, graphFolder)
      const isOwn = (await realpath(inner).catch(() => null)) === inner
      return (await readPlain(join(real, name), limitBytes)) ?? (isOwn ? readPlain(join(inner, name), limitBytes) : null)
    },
  }
}

async function readPlain(path: string, limitBytes: number): ReturnType<ModelFolder['read']> {
  const refused = (why: string) => new StudioError('unsafe-file', `"${path}" ${why}`)
  try {
    const handle = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0))
    try {
      const info = await handle.stat()
      if (!info.isFile() || info.nlink > 1) throw refused('is not a plain file. Put a copy of the file itself into the folder.')
      if (info.size > limitBytes)
        throw refused(`has ${info.size} bytes, more than the ${limitBytes} that are read. Choose a smaller model.`)
      const bytes = new Uint8Array(await handle.readFile())
      return { bytes, sha256: sha256(bytes) }
    } finally {
      await handle.close()
    }
  } catch (error) {
    if (isCode(error, 'ENOENT')) return null
    if (isCode(error, 'ELOOP') || isCode(error, 'EMLINK')) throw refused('is a link. Put a copy of the file itself into the folder.')
    throw error
  }
}
