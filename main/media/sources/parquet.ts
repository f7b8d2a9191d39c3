import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib'
import { parquetMetadataAsync, parquetReadObjects, type AsyncBuffer } from 'hyparquet'

const rowsAtATime = 10_000
const pageLimitBytes = 256 * 1024 * 1024

/** Only what is announced is unpacked, and no more than the limit. */
const unpacked =
  (unpack: (bytes: Uint8Array, options: { maxOutputLength: number }) => Uint8Array) => (bytes: Uint8Array, length: number) => {
    if (length > pageLimitBytes) throw new RangeError(`a page of ${length} bytes`)
    return unpack(bytes, { maxOutputLength: Math.max(1, length) })
  }
const compressors = { GZIP: unpacked(gunzipSync), BROTLI: unpacked(brotliDecompressSync), ZSTD: unpacked(zstdDecompressSync) }

/** The rows of a Parquet table, some at a time. @throws what the reader throws on a damaged file. */
export async function* parquetRows(bytes: Uint8Array): AsyncGenerator<Record<string, unknown>> {
  const file: AsyncBuffer = { byteLength: bytes.length, slice: (start, end) => new Uint8Array(bytes.slice(start, end)).buffer }
  const metadata = await parquetMetadataAsync(file)
  const count = Number(metadata.num_rows)
  for (let rowStart = 0; rowStart < count; rowStart += rowsAtATime) {
    const rows = await parquetReadObjects({ file, metadata, compressors, rowStart, rowEnd: Math.min(count, rowStart + rowsAtATime) })
    if (rows.length === 0) throw new RangeError(`${count} rows are announced and ${rowStart} are there`)
    yield* rows
  }
}
