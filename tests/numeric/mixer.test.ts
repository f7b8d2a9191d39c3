import { expect, test } from 'vitest'
import { backward } from '#engine/autodiff/backward.ts'
import { scanConv, selectiveScan } from '#engine/graph/fused.ts'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import { mixer } from '#engine/models/zigma/mixer.ts'
import { project } from '#engine/nn/linear.ts'
import { evaluate } from '#engine/runtime/evaluate.ts'
import { runtime } from '#tests/support/differences.ts'
import { smallFeeds, smallSpec } from '#tests/support/small-networks.ts'

const [batch, length] = [2, 6]

test.each([
  ['whose step size is cut out', 48, 2],
  ['whose step size is left before B and C', 64, 2],
  ['with one state', 48, 1],
  ['whose step size is half as wide again as B', 384, 16],
  ['whose step size is narrower than B', 128, 16],
])('a mixer %s gives, in result and gradients, what its formula gives', async (_, embedDim, stateDim) => {
  const spec = smallSpec({ embedDim, stateDim, expand: 1 })
  const rank = embedDim / 16
  const build = (ours: boolean) => {
    const g = new GraphBuilder('f32')
    const tokens = g.input('tokens', [batch, length, embedDim])
    const permutation = g.ints([3, 1, 0, 2, 5, 4], [length])
    const p = (name: string, shape: number[]) => g.parameter(`m.${name}`, shape)
    const formula = () => {
      const [xWeight, zWeight] = g.split(p('in_proj.weight', [2 * embedDim, embedDim]), 0, [embedDim, embedDim])
      const kernel = g.reshape(p('conv1d.weight', [embedDim, 1, 4]), [embedDim, 4])
      const u = scanConv(g, project(g, tokens, xWeight!), permutation, kernel, p('conv1d.bias', [embedDim]))
      const rows = project(g, u, p('x_proj.weight', [rank + 2 * stateDim, embedDim]))
      const [deltaLow, B, C] = g.split(rows, 2, [rank, stateDim, stateDim])
      const delta = project(g, deltaLow!, p('dt_proj.weight', [embedDim, rank]))
      const A = g.neg(g.exp(p('A_log', [embedDim, stateDim])))
      const [D, deltaBias] = [p('D', [embedDim]), p('dt_proj.bias', [embedDim])]
      const y = selectiveScan(g, { u, delta, A, B: B!, C: C!, D, z: project(g, tokens, zWeight!), deltaBias, permutation })
      return project(g, y, p('out_proj.weight', [embedDim, embedDim]))
    }
    const y = ours ? mixer(g, spec, tokens, 'm', [{ permutation, suffix: '' }]) : formula()
    const parameters = [...g.parameters]
    g.output('y', y)
    backward(
      g,
      g.sum(g.square(y), [0, 1, 2]),
      parameters.map(([, value]) => value),
    ).forEach((gradient, i) => g.output(`d ${parameters[i]![0]}`, gradient))
    return g
  }
  const feeds = smallFeeds(build(true))
  const [ours, formula] = await Promise.all([build(true), build(false)].map((g) => evaluate(runtime, g, feeds)))
  expect(ours).toEqual(formula)
})
