import { StudioError } from '#contracts/errors.ts'

const depthLimit = 32
const knownDomains = ['', 'ai.onnx', 'ai.onnx.ml', 'com.microsoft']

/** Fields of ONNX's messages that lead to tensors and nodes: number -> what lies there. From onnx.proto. */
type Kind = 'model' | 'graph' | 'node' | 'attribute' | 'tensor' | 'sparse' | 'function' | 'training'
const leads: Record<Kind, Readonly<Record<number, Kind>>> = {
  model: { 7: 'graph', 20: 'training', 25: 'function' },
  training: { 1: 'graph', 2: 'graph' },
  graph: { 1: 'node', 5: 'tensor', 15: 'sparse' },
  node: { 5: 'attribute' },
  attribute: { 5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse', 23: 'sparse' },
  sparse: { 1: 'tensor', 2: 'tensor' },
  function: { 7: 'node', 11: 'attribute' },
  tensor: {},
}
const externalData = 13
const dataLocation = 14
const nodeDomain = 7
const functionDomain = 10

/**
 * Looks through a model of unknown origin before anything runs it: all weights must be in the file itself, and all operators must be
 * standard ones. Reads the wire format of Protocol Buffers and nothing that the file points to.
 *
 * @param name the file's, for the sentences
 * @throws StudioError unsafe-file or corrupt-file
 */
export function guardModel(bytes: Uint8Array, name: string): void {
  const domains = new Set<string>()
  const own = new Set(knownDomains)
  const damaged = () =>
    new StudioError('corrupt-file', `"${name}" is not an ONNX model, or it is incomplete. Copy it again from where you got it.`)
  const text = new TextDecoder()

  const visit = (from: number, to: number, kind: Kind, depth: number): boolean => {
    if (depth > depthLimit) throw new StudioError('unsafe-file', `"${name}" nests graphs deeper than ${depthLimit}, so it is not read.`)
    let [at, hasGraph] = [from, false]
    const varint = (): number => {
      let value = 0
      for (let shift = 0; shift < 70; shift += 7) {
        if (at >= to) throw damaged()
        const byte = bytes[at++]!
        value += (byte & 0x7f) * 2 ** shift
        if (byte < 0x80) return value
      }
      throw damaged()
    }
    while (at < to) {
      const key = varint()
      const [field, wire] = [Math.floor(key / 8), key % 8]
      if (field === 0) throw damaged()
      if (wire === 0) {
        const value = varint()
        if (kind === 'tensor' && field === dataLocation && value !== 0) throw external()
        continue
      }
      const size = wire === 2 ? varint() : wire === 5 ? 4 : wire === 1 ? 8 : -1
      if (size < 0 || size > to - at) throw damaged()
      if (kind === 'tensor' && field === externalData) throw external()
      const inner = wire === 2 ? leads[kind][field] : undefined
      if (kind === 'node' && field === nodeDomain) domains.add(text.decode(bytes.subarray(at, at + size)))
      else if (kind === 'function' && field === functionDomain) own.add(text.decode(bytes.subarray(at, at + size)))
      else if (inner) visit(at, at + size, inner, depth + 1)
      hasGraph ||= inner === 'graph'
      at += size
    }
    return hasGraph
  }
  const external = () =>
    new StudioError('unsafe-file', `"${name}" keeps its weights in other files, which are not read. Save the model as one file.`)

  if (!visit(0, bytes.length, 'model', 0)) throw damaged()
  const foreign = [...domains].find((domain) => !own.has(domain))
  if (foreign !== undefined)
    throw new StudioError(
      'unsafe-file',
      `"${name}" needs operators of "${foreign.slice(0, 100)}", which are programs of their own and are never loaded. Export it with standard operators.`,
    )
}
