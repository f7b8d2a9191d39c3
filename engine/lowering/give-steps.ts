import { sizeOf } from '../graph/shape.ts'
import { elementBytes, type Graph, type Node, type Value } from '../graph/value.ts'
import { beforeCast, makersOf, readersOf, tokensOf } from './readers.ts'

/** Where a scan has its time steps, before bias and softplus; that bias; and where a scan that makes them itself has the weight of their product. */
const [STEPS, BIAS, WEIGHT] = [1, 7, 9] as const

/** Up to so many numbers have room inside of a scan on a GPU, which makes them in less time than it takes to read them: 1024 tokens of 1536 channels. */
const fewNumbers = 1024 * 1536

/** Of rows that are whole pieces of 16 bytes, a rank that is not too high and whole warps of channels, a GPU's tensor cores make steps. */
const [wholeRow, mostRank, wholeChannels] = [8, 192, 32] as const

/**
 * Time steps that are a product are made with their bias and softplus by one operation, and scans and their gradients, which go over them several times, are
 * given them as they are. Where they are few and one scan alone reads them, it makes them itself: so it is in drawing. All of that in types of 16 bits, which
 * are a GPU's. The nodes in their order, without those products.
 */
export function giveSteps(nodes: readonly Node[], g: Graph, outputs: ReadonlySet<Value>): Node[] {
  const readers = readersOf(nodes)
  const makers = makersOf(nodes)
  const instead = new Map<Node, readonly Node[]>()
  for (const scan of nodes) if (scan.op.startsWith('SelectiveScan') && !instead.has(scan)) give(scan)
  return nodes.flatMap((node) => instead.get(node) ?? [node])

  function give(scan: Node): void {
    const [u, steps, bias] = [scan.inputs[0]!, scan.inputs[STEPS]!, scan.inputs[BIAS] ?? null]
    const product = elementBytes[u.dtype] === 2 && !outputs.has(steps) ? productOf(steps) : null
    const scans = readers.get(steps)!
    const isAlike = ({ op, inputs, attributes }: Node) =>
      op.startsWith('SelectiveScan') &&
      originOf(inputs[BIAS] ?? null) === originOf(bias) &&
      attributes.deltaSoftplus === scan.attributes.deltaSoftplus
    if (!product || new Set(scans).size < scans.length || !scans.every(isAlike)) return
    const { low, weight, gemm, shown } = product
    const rank = rankOf(weight, g)
    if (scans.length === 1 && scan.op === 'SelectiveScan' && sizeOf(u.shape) <= fewNumbers) {
      const inputs = Array.from({ length: WEIGHT + 1 }, (_, i) => (i === STEPS ? low : i === WEIGHT ? weight : (scan.inputs[i] ?? null)))
      instead.set(scan, [{ ...scan, inputs, attributes: { ...scan.attributes, rank } }])
    } else if (low.shape[2]! % wholeRow === 0 && rank <= mostRank && u.shape[2]! % wholeChannels === 0) {
      const attributes = { softplus: scan.attributes.deltaSoftplus!, rank }
      const made = { op: 'TimeSteps', inputs: [low, weight, bias], outputs: [steps], attributes }
      for (const one of scans) {
        const given = { ...one, attributes: { ...one.attributes, stepsGiven: 1 } }
        instead.set(one, one === scan ? [made, given] : [given])
      }
    } else return
    for (const one of [gemm, shown]) instead.set(one, [])
  }

  /** A value that another is, only later: so a scan that is computed again reads its bias. */
  function originOf(value: Value | null): Value | null {
    const maker = value && makers.get(value)
    return maker?.op === 'After' ? originOf(maker.inputs[0]!) : value
  }

  /** What steps [B, L, E] are a product of: low [B, L, K] and weight [E, K]; and the nodes that make them, which are for nothing else. */
  function productOf(steps: Value): { low: Value; weight: Value; gemm: Node; shown: Node } | null {
    const shown = makers.get(steps)
    const result = shown?.op === 'Reshape' ? shown.inputs[0]! : null
    const gemm = result && !outputs.has(result) && readers.get(result)?.length === 1 ? makers.get(result) : null
    if (gemm?.op !== 'Gemm' || gemm.inputs.length > 2 || gemm.attributes.transA === 1 || gemm.attributes.transB !== 1) return null
    const [rows, weight] = gemm.inputs as [Value, Value]
    const low = tokensOf(rows, makers)
    if (!low || low.shape[0] !== steps.shape[0] || low.shape[1] !== steps.shape[1]) return null
    return { low, weight, gemm, shown: shown! }
  }
}

/** How many columns a weight has in front of those that are zeros, because a product with a constant widened it. */
function rankOf(weight: Value, g: Graph): number {
  const { node } = weight
  const [first, second, bias] = node?.inputs ?? []
  if (node?.op === 'Gemm' && !bias && node.attributes.transA !== 1 && node.attributes.transB !== 1) {
    const columns = second!.shape[1]!
    const widening = g.constants.get(beforeCast(second!))
    if (!widening) return columns
    let rank = 0
    for (const [i, x] of widening.entries()) if (Number(x) !== 0) rank = Math.max(rank, (i % columns) + 1)
    return rank
  }
  const keepsColumns = ['Cast', 'After'].includes(node?.op ?? '') || (node?.op === 'Split' && node.attributes.axis === 0)
  return keepsColumns ? rankOf(first!, g) : weight.shape[1]!
}
