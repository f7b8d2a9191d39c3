import { crc32, deflateRawSync } from 'node:zlib'

export interface ZipFile {
  name: string | Uint8Array
  bytes?: Uint8Array | string
  /** 8 is deflate; 0, which is the default, stores. */
  method?: number
  /** Bit 0 is encryption, bit 11 a name in UTF-8. */
  flags?: number
  /** File type and permissions of Unix. */
  mode?: number
  /** What the directory says instead of the truth. */
  lies?: { crc?: number; size?: number; packedSize?: number; offset?: number }
}

/** A zip archive, byte by byte, so that each of its fields can be wrong. */
export function zip(files: readonly ZipFile[]): Buffer {
  const parts: Buffer[] = []
  const directory: Buffer[] = []
  let at = 0
  for (const { name, bytes = '', method = 0, flags = 0x800, mode = 0o100644, lies = {} } of files) {
    const nameBytes = Buffer.from(name as string)
    const plain = Buffer.from(bytes as string)
    const packed = method === 8 ? deflateRawSync(plain) : plain
    const fields = Buffer.alloc(26)
    fields.writeUInt16LE(20, 0)
    fields.writeUInt16LE(flags, 2)
    fields.writeUInt16LE(method, 4)
    fields.writeUInt32LE(lies.crc ?? crc32(plain), 10)
    fields.writeUInt32LE(lies.packedSize ?? packed.length, 14)
    fields.writeUInt32LE(lies.size ?? plain.length, 18)
    fields.writeUInt16LE(nameBytes.length, 22)
    const entry = Buffer.alloc(46)
    entry.writeUInt32LE(0x02014b50, 0)
    entry.writeUInt16LE((3 << 8) | 20, 4)
    fields.copy(entry, 6)
    entry.writeUInt32LE((mode << 16) >>> 0, 38)
    entry.writeUInt32LE(lies.offset ?? at, 42)
    directory.push(entry, nameBytes)
    const local = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), fields, nameBytes, packed])
    parts.push(local)
    at += local.length
  }
  const listed = Buffer.concat(directory)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(files.length & 0xffff, 8)
  end.writeUInt16LE(files.length & 0xffff, 10)
  end.writeUInt32LE(listed.length, 12)
  end.writeUInt32LE(at, 16)
  return Buffer.concat([...parts, listed, end])
}

export interface TarFile {
  name: string
  bytes?: Uint8Array | string
  /** '0' file, '1' hard link, '2' link, '3' device, '5' folder, '6' pipe, 'x' pax header, 'L' long name. */
  type?: string
  link?: string
  /** What the header says instead of the truth. */
  size?: number | string
}

/** A tar archive of the POSIX kind, field by field. */
export function tar(files: readonly TarFile[], { hasEnd = true } = {}): Buffer {
  const longNames = files.flatMap((file) =>
    Buffer.byteLength(file.name) > 100 ? [{ name: 'pax', type: 'x', bytes: pax('path', file.name) }, file] : [file],
  )
  const parts = longNames.flatMap(({ name, bytes = '', type = '0', link = '', size }) => {
    const content = Buffer.from(bytes as string)
    const header = Buffer.alloc(512)
    header.write(name, 0, 100)
    header.write('0000644\0', 100)
    header.write('0000000\0', 108)
    header.write('0000000\0', 116)
    header.write(typeof size === 'string' ? size : (size ?? content.length).toString(8).padStart(11, '0'), 124, 12, 'latin1')
    header.write('00000000000\0', 136)
    header.write('        ', 148)
    header.write(type, 156)
    header.write(link, 157, 100)
    header.write('ustar\x0000', 257, 'latin1')
    const sum = header.reduce((total, byte) => total + byte, 0)
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
    return [header, content, Buffer.alloc((512 - (content.length % 512)) % 512)]
  })
  return Buffer.concat([...parts, Buffer.alloc(hasEnd ? 1024 : 0)])
}

/** One record of a pax header: its length counts itself. */
export function pax(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`)
  let length = rest + String(rest).length
  if (String(length).length !== String(rest).length) length = rest + String(length).length
  return `${length} ${key}=${value}\n`
}
