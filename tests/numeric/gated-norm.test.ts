import { expect, test } from 'vitest'
import { addNormModulate, gateAdd } from '#engine/graph/fused.ts'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import { relativeError } from '#engine/relative-error.ts'
import { evaluate } from '#engine/runtime/evaluate.ts'
import { runtime } from '#tests/support/differences.ts'
import { smallFeeds } from '#tests/support/small-networks.ts'

const [b, l, d] = [2, 5, 19]

type Biased = 'nothing' | 'a bias'

/** A norm of a gated sum; `apart` with gate and bias as operations of their own. */
function gatedNorm(apart: boolean, biased: Biased): GraphBuilder {
  const g = new GraphBuilder()
  const input = (name: string, ...shape: number[]) => g.input(name, shape)
  const [n, y, residual] = [input('n', b, l, d), input('y', b, l, d), input('before', b, l, d)]
  const [gate, shift, scale] = [input('gate', b, d), input('shift', b, d), input('scale', b, d)]
  const keep = input('keep', b)
  const yBias = biased === 'a bias' ? input('yBias', d) : null
  const h = apart ? gateAdd(g, n, gate, yBias ? g.add(y, yBias) : y) : n
  const gated = apart ? {} : { gate, y, yBias }
  const sum = addNormModulate(g, { h, residual, shift, scale, keep, ...gated }, { norm: 'layer', epsilon: 1e-5 })
  g.output('modulated', sum.modulated)
  g.output('residual', sum.residual)
  g.output('gated', apart ? h : sum.gated)
  return g
}

test.each([
  ['native', 'nothing'],
  ['portable', 'nothing'],
  ['native', 'a bias'],
  ['portable', 'a bias'],
] as const)('in %s form a norm with a gate, %s beside it, gives what a norm behind a gate gives', async (form, biased) => {
  const feeds = smallFeeds(gatedNorm(true, biased))
  const apart = await evaluate(runtime, gatedNorm(true, biased), feeds, 'portable')
  const together = await evaluate(runtime, gatedNorm(false, biased), feeds, form)
  for (const name of ['modulated', 'residual', 'gated']) expect(relativeError(together[name]!, apart[name]!), name).toBeLessThan(1e-6)
})

test.each(['native', 'portable'] as const)('in %s form a gate alone adds the bias to what it multiplies', async (form) => {
  const sum = (apart: boolean) => {
    const g = new GraphBuilder()
    const [n, y, gate, yBias] = [g.input('n', [b, l, d]), g.input('y', [b, l, d]), g.input('gate', [b, d]), g.input('yBias', [d])]
    g.output('sum', apart ? gateAdd(g, n, gate, g.add(y, yBias)) : gateAdd(g, n, gate, y, yBias))
    return g
  }
  const feeds = smallFeeds(sum(true))
  const [apart, together] = [await evaluate(runtime, sum(true), feeds, 'portable'), await evaluate(runtime, sum(false), feeds, form)]
  expect(relativeError(together.sum!, apart.sum!)).toBeLessThan(1e-6)
})

test.each(['rms', 'layer'] as const)('a %s norm of the running sum alone gives the bits of the norm that made the sum', async (norm) => {
  const g = new GraphBuilder()
  const [h, residual] = [g.input('h', [b, l, d]), g.input('before', [b, l, d])]
  const [weight, shift, scale] = [g.input('weight', [d]), g.input('shift', [b, d]), g.input('scale', [b, d])]
  const { modulated } = addNormModulate(g, { h, residual, weight, shift, scale, keep: g.input('keep', [b]) }, { norm, epsilon: 1e-5 })
  const { attributes, outputs } = modulated.node!
  const again = g.node(
    'AddNormModulate',
    [null, outputs[2]!, weight, null, shift, scale],
    attributes,
    outputs.map(({ shape, dtype }) => [shape, dtype]),
  )
  const names = ['modulated', 'normalized', 'residual', 'mean', 'rstd']
  names.forEach((name, i) => {
    g.output(name, outputs[i]!)
    g.output(`${name} again`, again[i]!)
  })
  const results = await evaluate(runtime, g, smallFeeds(g))
  for (const name of names) expect(results[`${name} again`], name).toEqual(results[name])
})
