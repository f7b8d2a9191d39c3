import { backward } from '#engine/autodiff/backward.ts'
import { meanSquare } from '#engine/interpolant/loss.ts'
import { relativeError } from '#engine/relative-error.ts'
import { evaluate } from '#engine/runtime/evaluate.ts'
import { runtime } from './differences.ts'
import { smallFeeds, smallNetwork, smallSpec, textCondition } from './small-networks.ts'

// Run by itself, since the kernels are chosen once a process: prints the relative error of every gradient of a network whose scan has
// several chunks, in float32 by the kernels of ZIGMA_INSTRUCTION_SET against float64 by the reference.
async function gradients(float: 'f32' | 'f64'): Promise<Record<string, ArrayLike<number>>> {
  const { g, velocity } = smallNetwork(smallSpec({ condition: textCondition, height: 16, width: 10 }), float)
  const loss = meanSquare(g, velocity, g.input('target', velocity.shape))
  const names = [...g.parameters.keys()]
  backward(g, loss, [...g.parameters.values()]).forEach((gradient, i) => {
    g.output(`d/${names[i]!}`, gradient)
  })
  return evaluate(runtime, g, smallFeeds(g))
}

const [fast, reference] = [await gradients('f32'), await gradients('f64')]
const errors = Object.entries(reference).map(([name, gradient]) => [name.slice('d/'.length), relativeError(fast[name]!, gradient)])
console.log(JSON.stringify(Object.fromEntries(errors)))
