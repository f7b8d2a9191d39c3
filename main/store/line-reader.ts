import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { isCode, sha256 } from './safe-fs.ts'

export interface Line {
  text: string
  /** Where it lies in its file, without its line end. */
  offset: number
  sizeBytes: number
}

/**
 * The whole lines of a text file from a byte on, one after the other; none when there is no file. A last line that a crash cut short is left out.
 *
 * @param holding only the lines that hold this; the others are not made into text.
 */
export async function* readLines(path: string, from = 0, holding = ''): AsyncGenerator<Line> {
  let begun: Buffer[] = [] // of a line whose end is not read yet
  let offset = from
  const stream = createReadStream(path, { start: from, highWaterMark: 1024 * 1024 })
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      let start = 0
      for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
        const bytes = begun.length > 0 ? Buffer.concat([...begun, chunk.subarray(start, end)]) : chunk.subarray(start, end)
        if (bytes.length > 0 && bytes.includes(holding)) yield { text: bytes.toString('utf8'), offset, sizeBytes: bytes.length }
        offset += bytes.length + 1
        start = end + 1
        begun = []
      }
      if (start < chunk.length) begun.push(chunk.subarray(start))
    }
  } catch (error) {
    if (!isCode(error, 'ENOENT')) throw error
  } finally {
    stream.destroy()
  }
}

/** How many whole lines a file has. */
export async function countLines(path: string): Promise<number> {
  let count = 0
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 }) as AsyncIterable<Buffer>)
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) count++
  return count
}

/** The line that begins at a byte of a file. */
export async function readLineAt(path: string, offset: number): Promise<string> {
  for await (const line of readLines(path, offset)) return line.text
  return ''
}

const guardBytes = 4096

/** A fingerprint of what stands before a byte of a file, to see whether it was only added to since; null when the file is shorter. */
export async function fingerprintBefore(path: string, offset: number): Promise<string | null> {
  if (offset === 0) return ''
  const handle = await open(path).catch((error: unknown) => {
    if (isCode(error, 'ENOENT')) return null
    throw error
  })
  if (!handle) return null
  try {
    const start = Math.max(0, offset - guardBytes)
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(offset - start), 0, offset - start, start)
    return bytesRead === offset - start ? sha256(buffer) : null
  } finally {
    await handle.close()
  }
}
