import type { GraphBuilder } from '../graph/graph-builder.ts'
import { ShapeError } from '../graph/shape.ts'
import type { Value } from '../graph/value.ts'

/** Cut an image into square patches. [B, C, H, W] -> [B, L, C*p*p], patches row by row, each in the order channel, row, column. */
export function patchify(g: GraphBuilder, image: Value, p: number): Value {
  const [b, c, h, w] = image.shape as [number, number, number, number]
  if (h % p !== 0)
    throw new ShapeError(`patchify: height ${h} is not a multiple of patchSize ${p}. Crop to ${h - (h % p)} or choose another patch.`)
  if (w % p !== 0)
    throw new ShapeError(`patchify: width ${w} is not a multiple of patchSize ${p}. Crop to ${w - (w % p)} or choose another patch.`)
  const grid = g.reshape(image, [b, c, h / p, p, w / p, p])
  return g.reshape(g.transpose(grid, [0, 2, 4, 1, 3, 5]), [b, (h / p) * (w / p), c * p * p])
}

/** Put patches back. [B, L, p*p*C] in the order row, column, channel (spec 1.1; not the order of `patchify`) -> [B, C, H, W]. */
export function unpatchify(
  g: GraphBuilder,
  tokens: Value,
  p: number,
  { channels, height, width }: { channels: number; height: number; width: number },
): Value {
  const b = tokens.shape[0]!
  const grid = g.reshape(tokens, [b, height / p, width / p, p, p, channels])
  return g.reshape(g.transpose(grid, [0, 5, 1, 3, 2, 4]), [b, channels, height, width])
}
