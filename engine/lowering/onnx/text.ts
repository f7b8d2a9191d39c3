import type { OnnxAttribute, OnnxGraph, OnnxTensor } from './model.ts'

/** The graph as text, a line a tensor and a node, for people and for tests that watch what is emitted. Values of constants are not shown. */
export function describeGraph({ inputs, outputs, initializers, nodes }: OnnxGraph): string {
  const section = (title: string, tensors: readonly OnnxTensor[]) =>
    tensors.map((tensor) => `${title} ${tensor.name}: ${tensor.dtype} [${tensor.shape.join(', ')}]`).sort()
  return [
    ...section('input', inputs),
    ...section('constant', initializers),
    ...nodes.map(({ op, domain, inputs: from, outputs: to, attributes }) => {
      const settings = Object.entries(attributes).map(([name, value]) => `${name}=${show(value)}`)
      return `${to.map((name) => name || '-').join(', ')} = ${domain && `${domain}.`}${op}(${from.map((name) => name || '-').join(', ')})${settings.length > 0 ? ` {${settings.sort().join(', ')}}` : ''}`
    }),
    ...section('output', outputs),
    '',
  ].join('\n')
}

function show(value: OnnxAttribute): string {
  if ('graph' in value) return `\n  ${describeGraph(value.graph).trimEnd().replaceAll('\n', '\n  ')}\n`
  if ('ints' in value) return `[${value.ints.join(', ')}]`
  return String(Object.values(value)[0])
}
