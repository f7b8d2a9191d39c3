const magic = '\x93NUMPY'
const version = [1, 0]
/** Bytes before the header's text: magic, version and the text's length as uint16. */
const fixedBytes = magic.length + version.length + 2
const alignment = 64
const numberBytes = 4

/** An array as NumPy's file format 1.0 has it: float32, little-endian, the last axis varying fastest. As many values as `shape` says. */
export function npyBytes(values: Float32Array, shape: readonly number[]): Uint8Array {
  const size = shape.reduce((product, n) => product * n, 1)
  if (values.length !== size) throw new TypeError(`npyBytes: ${values.length} values were given for [${shape.join(', ')}]`)
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`
  const dict = `{'descr': '<f4', 'fortran_order': False, 'shape': ${tuple}, }`
  const headerBytes = Math.ceil((fixedBytes + dict.length + 1) / alignment) * alignment
  const bytes = Buffer.alloc(headerBytes + values.length * numberBytes)
  bytes.write(magic, 0, 'latin1')
  bytes.set(version, magic.length)
  bytes.writeUInt16LE(headerBytes - fixedBytes, fixedBytes - 2)
  bytes.write(`${dict.padEnd(headerBytes - fixedBytes - 1)}\n`, fixedBytes, 'latin1')
  values.forEach((value, i) => bytes.writeFloatLE(value, headerBytes + i * numberBytes))
  return bytes
}
