/** Writes the wire format of Protocol Buffers: the four field kinds that ONNX models are made of. */
export class ProtobufWriter {
  readonly #chunks: Uint8Array[] = []
  #size = 0

  /** A whole number of at most 53 bits; negative ones take ten bytes, as the format demands. */
  varint(field: number, value: number): this {
    return this.#append(varintBytes(field * 8)).#append(varintBytes(value))
  }

  float(field: number, value: number): this {
    const bytes = new Uint8Array(4)
    new DataView(bytes.buffer).setFloat32(0, value, true)
    return this.#append(varintBytes(field * 8 + 5)).#append(bytes)
  }

  bytes(field: number, value: Uint8Array): this {
    return this.#append(varintBytes(field * 8 + 2))
      .#append(varintBytes(value.length))
      .#append(value)
  }

  string(field: number, value: string): this {
    return this.bytes(field, new TextEncoder().encode(value))
  }

  message(field: number, write: (writer: ProtobufWriter) => void): this {
    const inner = new ProtobufWriter()
    write(inner)
    return this.bytes(field, inner.finish())
  }

  /** Repeated whole numbers in the packed form. */
  packed(field: number, values: readonly number[]): this {
    const inner = new ProtobufWriter()
    for (const value of values) inner.#append(varintBytes(value))
    return this.bytes(field, inner.finish())
  }

  /** Fields that are written already. */
  raw(fields: Uint8Array): this {
    return this.#append(fields)
  }

  finish(): Uint8Array {
    const all = new Uint8Array(this.#size)
    let at = 0
    for (const chunk of this.#chunks) {
      all.set(chunk, at)
      at += chunk.length
    }
    return all
  }

  #append(chunk: Uint8Array): this {
    this.#chunks.push(chunk)
    this.#size += chunk.length
    return this
  }
}

function varintBytes(value: number): Uint8Array {
  let rest = BigInt.asUintN(64, BigInt(value))
  const bytes: number[] = []
  do {
    const low = Number(rest & 0x7fn)
    rest >>= 7n
    bytes.push(rest > 0n ? low | 0x80 : low)
  } while (rest > 0n)
  return Uint8Array.from(bytes)
}
