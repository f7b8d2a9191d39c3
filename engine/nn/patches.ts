import type { GraphBuilder } from '../graph/graph-builder.ts'
import { ShapeError } from '../graph/shape.ts'
import type { Value } from '../graph/value.ts'
import { project } from './linear.ts'

interface Dense {
  /** [out, in] */ weight: Value
  /** [out] */ bias?: Value
}

/**
 * A dense layer on the patches of an image [B, C, H, W]: tokens [B, L, out], weight [out, C*p*p]. Where the patches of one picture are pixels, its
 * channels are the columns of its tokens as they lie, and no picture is transposed. The weight is: rows of three or four numbers are shorter than what a
 * GPU's product reads at once, and in drawing it is laid out anew only once.
 */
export function projectPatches(g: GraphBuilder, image: Value, p: number, { weight, bias }: Dense): Value {
  const [b, c, h, w] = image.shape as [number, number, number, number]
  if (b > 1 || p > 1) return project(g, patchify(g, image, p), weight, bias)
  const columns = g.cast(g.reshape(image, [c, h * w]), g.compute)
  const tokens = g.gemm(columns, g.transpose(g.computed(weight), [1, 0]), { transA: true, ...(bias ? { bias: g.computed(bias) } : {}) })
  return g.reshape(tokens, [1, h * w, weight.shape[0]!])
}

/** A dense layer on tokens [B, L, in] whose results are the patches of an image: [B, C, H, W], weight [p*p*C, in]. */
export function projectToImage(
  g: GraphBuilder,
  tokens: Value,
  p: number,
  { weight, bias }: Required<Dense>,
  size: { channels: number; height: number; width: number },
): Value {
  const [b, length, width] = tokens.shape as [number, number, number]
  if (b > 1 || p > 1) return unpatchify(g, project(g, tokens, weight, bias), p, size)
  const rows = g.cast(g.reshape(tokens, [length, width]), g.compute)
  const image = g.gemm(g.computed(weight), rows, { transB: true, bias: g.reshape(g.computed(bias), [size.channels, 1]) })
  return g.reshape(image, [1, size.channels, size.height, size.width])
}

/** Cut an image into square patches. [B, C, H, W] -> [B, L, C*p*p], patches row by row, each in the order channel, row, column. */
function patchify(g: GraphBuilder, image: Value, p: number): Value {
  const [b, c, h, w] = image.shape as [number, number, number, number]
  if (h % p !== 0)
    throw new ShapeError(`patchify: height ${h} is not a multiple of patchSize ${p}. Crop to ${h - (h % p)} or choose another patch.`)
  if (w % p !== 0)
    throw new ShapeError(`patchify: width ${w} is not a multiple of patchSize ${p}. Crop to ${w - (w % p)} or choose another patch.`)
  const grid = g.reshape(image, [b, c, h / p, p, w / p, p])
  return g.reshape(g.transpose(grid, [0, 2, 4, 1, 3, 5]), [b, (h / p) * (w / p), c * p * p])
}

/** Put patches back. [B, L, p*p*C] in the order row, column, channel (spec 1.1; not the order of `patchify`) -> [B, C, H, W]. */
function unpatchify(
  g: GraphBuilder,
  tokens: Value,
  p: number,
  { channels, height, width }: { channels: number; height: number; width: number },
): Value {
  const b = tokens.shape[0]!
  const grid = g.reshape(tokens, [b, height / p, width / p, p, p, channels])
  return g.reshape(g.transpose(grid, [0, 5, 1, 3, 2, 4]), [b, channels, height, width])
}
