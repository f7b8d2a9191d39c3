import type { ModelSpec } from '#contracts/recipe.ts'
import type { NativeRuntime } from './runtime/native.ts'
import { backward } from './autodiff/backward.ts'
import { readSafetensors, type Safetensors } from './checkpoint/safetensors.ts'
import { loadFloats, loadInts } from './checkpoint/tensor-bytes.ts'
import { selectiveScan } from './graph/fused.ts'
import { GraphBuilder } from './graph/graph-builder.ts'
import type { ConstantData, Value } from './graph/value.ts'
import { meanSquare } from './interpolant/loss.ts'
import { zigma } from './models/zigma/zigma.ts'
import { relativeError } from './relative-error.ts'
import { evaluate } from './runtime/evaluate.ts'
import { hilbert, hilbertOfficial } from './scan/hilbert.ts'
import { inversePermutation } from './scan/permutation.ts'
import { zigzag } from './scan/zigzag.ts'

/** How one file of reference vectors compares. Errors are the norm of the difference over the norm of the reference. */
export interface ParityCase {
  file: string
  outcome: 'pass' | 'fail' | 'cannot-run' | 'skipped'
  outputError: number | null
  portableError: number | null
  gradientError: number | null
  worstGradient: string | null
  note: string | null
}

export const outputTolerances = { cpu: 1e-5, cuda: 1e-4 } as const
export const gradientTolerance = 1e-4

/** Compares one reference file with this engine in float32. `bytes` are the file's; its kind is told by its name. */
export async function checkParity(runtime: NativeRuntime, file: string, bytes: Uint8Array): Promise<ParityCase> {
  try {
    return await compare(runtime, file, bytes)
  } catch (error) {
    return cannotRun(file, error instanceof Error ? error.message : String(error)) // a torn file must not hide how the others compare
  }
}

async function compare(runtime: NativeRuntime, file: string, bytes: Uint8Array): Promise<ParityCase> {
  if (/^zigma_.*\.safetensors$/.test(file)) return checkNetwork(runtime, file, readSafetensors(bytes, file))
  if (/^selective_scan_.*\.safetensors$/.test(file)) return checkScan(runtime, file, readSafetensors(bytes, file))
  if (file === 'permutations.json') return checkOrders(file, JSON.parse(new TextDecoder().decode(bytes)) as GoldenOrders)
  return cannotRun(file, 'this kind of file is not known to this version')
}

/** A case that the caller chose not to run. */
export function skippedCase(file: string, word: string): ParityCase {
  return { ...cannotRun(file, `named by --skip ${word}`), outcome: 'skipped' }
}

function cannotRun(file: string, note: string): ParityCase {
  return { file, outcome: 'cannot-run', outputError: null, portableError: null, gradientError: null, worstGradient: null, note }
}

/** The official constructor's arguments as they stand in a file's metadata. */
interface OfficialConfig {
  in_channels: number
  embed_dim: number
  depth: number
  img_dim: number
  patch_size: number
  scan_type: string
  use_pe: number
  rms_norm?: boolean
  num_classes?: number
  has_text?: boolean
  d_context?: number
  n_context_token?: number
  video_frames?: number
  batch: number
}

/** The official constructor's arguments as a model of ours; a sentence where there is none. */
export function specFromOfficial(config: OfficialConfig): ModelSpec | string {
  const scan = scanFromOfficial(config.scan_type)
  if ((config.video_frames ?? 0) > 0) return `it is a video network (${config.scan_type}), which this version does not build`
  if (!scan) return `scan_type "${config.scan_type}" is not known`
  return {
    kind: 'zigma',
    height: config.img_dim,
    width: config.img_dim,
    channels: config.in_channels,
    patchSize: config.patch_size,
    embedDim: config.embed_dim,
    depth: config.depth,
    stateDim: 16,
    expand: 2,
    convWidth: 4,
    scan,
    positionEmbedding: config.use_pe as ModelSpec['positionEmbedding'],
    norm: config.rms_norm === false ? 'layer' : 'rms',
    condition: config.has_text
      ? { kind: 'text', contextDim: config.d_context ?? 768, contextTokens: config.n_context_token ?? 77, heads: 8, headDim: 64 }
      : (config.num_classes ?? -1) > 0
        ? { kind: 'class', classes: config.num_classes! }
        : { kind: 'none' },
    dropPath: 0,
  }
}

function scanFromOfficial(type: string): ModelSpec['scan'] | null {
  if (type === 'v2') return { kind: 'bidirectional', count: 1 }
  const [, kind, count] = /^(zigzag|hilbert)N(\d)$/.exec(type) ?? []
  if (!kind) return null
  return { kind: kind === 'zigzag' ? 'zigzag' : 'hilbert-official', count: Number(count) }
}

async function checkNetwork(runtime: NativeRuntime, file: string, golden: Safetensors): Promise<ParityCase> {
  const config = JSON.parse(golden.metadata.config ?? '{}') as OfficialConfig
  const spec = specFromOfficial(config)
  if (typeof spec === 'string') return cannotRun(file, spec)

  const build = (withGradients: boolean) => {
    const g = new GraphBuilder('f32')
    const shapeOf = (name: string) => golden.tensors.get(name)!.shape
    const image = g.input('in.x', shapeOf('in.x'))
    const condition =
      spec.condition.kind === 'none' ? null : g.input('in.y', shapeOf('in.y'), spec.condition.kind === 'class' ? 'i32' : 'f32')
    const out = zigma(g, spec, { image, t: g.input('in.t', shapeOf('in.t')), condition })
    g.output('out', out)
    if (withGradients) {
      const trained = [...g.parameters].filter(([name]) => golden.tensors.has(`grad.${name}`))
      const loss = meanSquare(g, out, g.input('target', shapeOf('target')))
      const gradients = backward(
        g,
        loss,
        trained.map(([, value]) => value),
      )
      trained.forEach(([name], i) => g.output(`grad.${name}`, gradients[i]!))
    }
    return g
  }

  const graph = build([...golden.tensors.keys()].some((name) => name.startsWith('grad.')))
  const unread = [...golden.tensors.keys()].filter(
    (name) => name.startsWith('sd.') && name !== 'sd.pos_embed' && !graph.parameters.has(name.slice(3)),
  )
  if (unread.length > 0)
    return cannotRun(file, `${unread.length} weights of the file have no place in the network, ${unread[0]} among them`)
  const feeds = Object.fromEntries(
    [...graph.inputs, ...graph.parameters].map(([name, value]) => [
      name,
      feed(golden, graph.parameters.has(name) ? `sd.${name}` : name, value),
    ]),
  )
  return judge(runtime, file, golden, await evaluate(runtime, graph, feeds), () => evaluate(runtime, build(false), feeds, 'portable'))
}

async function checkScan(runtime: NativeRuntime, file: string, golden: Safetensors): Promise<ParityCase> {
  const channelLast = new Set([
    'in.u',
    'in.delta',
    'in.z',
    'in.B',
    'in.C',
    'in.dout',
    'out',
    'grad.u',
    'grad.delta',
    'grad.z',
    'grad.B',
    'grad.C',
  ])
  const ours: Safetensors = {
    metadata: golden.metadata,
    tensors: new Map([...golden.tensors].map(([name, tensor]) => [name, channelLast.has(name) ? swapAxes(tensor) : tensor])),
  }
  const build = (withGradients: boolean) => {
    const g = new GraphBuilder('f32')
    const input = (name: string) =>
      ours.tensors.has(`in.${name}`) ? g.parameter(`in.${name}`, ours.tensors.get(`in.${name}`)!.shape) : null
    const [u, delta, A, B, C] = ['u', 'delta', 'A', 'B', 'C'].map((name) => input(name)!) as [Value, Value, Value, Value, Value]
    const deltaSoftplus = /^(1|true)$/i.test(golden.metadata.delta_softplus ?? 'true')
    const y = selectiveScan(
      g,
      { u, delta, A, B, C, D: input('D'), z: input('z'), deltaBias: input('delta_bias'), permutation: null },
      { deltaSoftplus },
    )
    g.output('out', y)
    if (withGradients) {
      const loss = g.sum(g.mul(y, g.input('in.dout', y.shape)), [0, 1, 2])
      const parameters = [...g.parameters]
      backward(
        g,
        loss,
        parameters.map(([, value]) => value),
      ).forEach((gradient, i) => g.output(parameters[i]![0].replace('in.', 'grad.'), gradient))
    }
    return g
  }
  const graph = build(true)
  const feeds = Object.fromEntries([...graph.inputs, ...graph.parameters].map(([name, value]) => [name, feed(ours, name, value)]))
  return judge(runtime, file, ours, await evaluate(runtime, graph, feeds), () => evaluate(runtime, build(false), feeds, 'portable'))
}

type GoldenOrders = Record<string, { zigzag: number[][]; zigzag_reverse: number[][]; hilbert: number[][]; hilbert_reverse: number[][] }>

function checkOrders(file: string, golden: GoldenOrders): ParityCase {
  const differing = Object.entries(golden).flatMap(([side, orders]) => {
    const n = Number(side)
    return Array.from({ length: orders.zigzag.length }, (_, scheme) => {
      const ours = [zigzag(scheme, n, n), inversePermutation(zigzag(scheme, n, n)), hilbertOfficial(scheme, n, n), hilbert(scheme, n, n)]
      const theirs = [orders.zigzag, orders.zigzag_reverse, orders.hilbert, orders.hilbert_reverse]
      return ours.every(
        (order, i) => theirs[i]?.[scheme] === undefined || order.every((token, position) => token === theirs[i]![scheme]![position]),
      )
        ? []
        : [`${n}x${n} scheme ${scheme}`]
    }).flat()
  })
  const note = differing.length > 0 ? `orders differ: ${differing.join(', ')}` : null
  return { ...cannotRun(file, ''), outcome: note ? 'fail' : 'pass', outputError: note ? 1 : 0, note }
}

/** The portable form is for machines without the native library, so it is compared on the CPU only. */
async function judge(
  { device }: NativeRuntime,
  file: string,
  golden: Safetensors,
  native: Record<string, ArrayLike<number>>,
  portable: () => Promise<Record<string, ArrayLike<number>>>,
): Promise<ParityCase> {
  const expected = (name: string) => loadFloats(golden.tensors.get(name)!)
  const outputError = relativeError(native.out!, expected('out'))
  const portableError = device === 'cpu' ? relativeError((await portable()).out!, expected('out')) : null
  let [gradientError, worstGradient]: [number | null, string | null] = [null, null]
  for (const name of golden.tensors.keys()) {
    if (!name.startsWith('grad.')) continue
    const error = native[name] ? relativeError(native[name], expected(name)) : Infinity
    if (gradientError === null || !(error <= gradientError)) [gradientError, worstGradient] = [error, name.slice(5)]
  }
  const passes =
    outputError <= outputTolerances[device] &&
    (portableError ?? 0) <= outputTolerances.cpu &&
    (gradientError === null || gradientError <= gradientTolerance)
  return { file, outcome: passes ? 'pass' : 'fail', outputError, portableError, gradientError, worstGradient, note: null }
}

function feed(golden: Safetensors, name: string, value: Value): ConstantData {
  const tensor = golden.tensors.get(name)
  if (!tensor) throw new TypeError(`the file has no tensor "${name}"`)
  return value.dtype === 'i32' ? loadInts(tensor) : loadFloats(tensor)
}

/** [B, D, L] -> [B, L, D]: reference scans are channel-first, ours are channel-last. */
function swapAxes(tensor: Safetensors['tensors'] extends Map<string, infer T> ? T : never) {
  const [b, d, l] = tensor.shape as [number, number, number]
  const from = loadFloats(tensor)
  const to = new Float32Array(from.length)
  for (let i = 0; i < b; i++) for (let j = 0; j < d; j++) for (let k = 0; k < l; k++) to[(i * l + k) * d + j] = from[(i * d + j) * l + k]!
  return { dtype: 'F32' as const, shape: [b, l, d], bytes: new Uint8Array(to.buffer) }
}
