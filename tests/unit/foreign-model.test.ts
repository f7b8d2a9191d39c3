import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { StudioError } from '#contracts/errors.ts'
import { readForeignModel, withInput } from '#engine/lowering/onnx/foreign-model.ts'
import { ProtobufWriter } from '#engine/lowering/onnx/protobuf.ts'
import { smallModel } from '../support/small-models.ts'
import { exactAutoencoder } from '../support/tiny-autoencoders.ts'

const { encoder } = exactAutoencoder()
const read = (bytes: Uint8Array) => readForeignModel(bytes, 'encoder.onnx')
const port = { name: 'x', dtype: 'f32' as const, shape: ['batch', 3] }
const modelOf = (graph: (g: ProtobufWriter) => void) => new ProtobufWriter().varint(1, 10).message(7, graph).finish()

describe('a model from a stranger', () => {
  test('says what goes in and what comes out, sizes that are not fixed by their names', () => {
    const { inputs, outputs } = read(encoder)
    expect(inputs).toEqual([{ name: 'sample', dtype: 'f32', shape: ['batch', 3, 'height', 'width'] }])
    expect(outputs).toEqual([{ name: 'latent_sample', dtype: 'f32', shape: ['batch', 12, 'height_latent', 'width_latent'] }])
  })

  test('is the same model for one size, but for that size', () => {
    const fixed = withInput(read(encoder), { name: 'sample', dtype: 'f32', shape: [1, 3, 8, 8] })
    expect(read(fixed).inputs[0]!.shape).toEqual([1, 3, 8, 8])
    expect(withInput(read(fixed), { name: 'sample', dtype: 'f32', shape: ['batch', 3, 'height', 'width'] })).toEqual(encoder)
  })

  test('is refused when its weights lie in another file, wherever in it that is said', () => {
    const elsewhere = (t: ProtobufWriter) =>
      t.string(8, 'w').message(13, (entry) => entry.string(1, 'location').string(2, '../../etc/passwd'))
    const marked = (t: ProtobufWriter) => t.string(8, 'w').varint(14, 1)
    const places: ((g: ProtobufWriter) => void)[] = [
      (g) => g.message(5, elsewhere),
      (g) => g.message(5, marked),
      (g) => g.message(15, (s) => s.message(1, elsewhere)),
      (g) => g.message(1, (n) => n.string(4, 'Constant').message(5, (a) => a.string(1, 'value').message(5, elsewhere))),
      (g) => g.message(1, (n) => n.string(4, 'If').message(5, (a) => a.message(6, (inner) => inner.message(5, elsewhere)))),
    ]
    for (const place of places) expect(() => read(modelOf(place))).toThrow('"encoder.onnx" is not used: its weights lie in another file.')
  })

  test('is refused when it needs operations of a library of its own, or gives other numbers each time', () => {
    const needs = (op: string, domain = '') =>
      smallModel([{ op, domain: domain as '', inputs: ['x'], outputs: ['y'] }], [port], [{ ...port, name: 'y' }])
    expect(() => read(needs('Evil', 'my.library'))).toThrow(/needs the operation "Evil" of a library of its own, "my.library"/)
    expect(() => read(needs('GateAdd', 'zigma'))).toThrow(StudioError)
    expect(() => read(needs('RandomUniformLike'))).toThrow(/gives other numbers each time/)
    expect(read(needs('Relu', 'com.microsoft')).outputs.length).toBe(1)
  })

  test('is refused when its graphs lie very deep in one another', () => {
    const nested =
      (depth: number) =>
      (g: ProtobufWriter): void => {
        if (depth > 0) g.message(1, (n) => n.string(4, 'If').message(5, (a) => a.message(6, nested(depth - 1))))
      }
    expect(read(modelOf(nested(10))).inputs).toEqual([])
    expect(() => read(modelOf(nested(40)))).toThrow(/deep in one another/)
  })

  test('that is damaged anywhere is read or refused in one sentence, and nothing else ever happens', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(encoder.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
        fc.nat(encoder.length),
        (changes, end) => {
          const bytes = encoder.slice(0, changes.length % 2 ? encoder.length : end)
          for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value
          try {
            withInput(read(bytes), { name: 'sample', dtype: 'f32', shape: [1, 3, 8, 8] })
          } catch (error) {
            expect(error).toBeInstanceOf(StudioError)
            expect((error as StudioError).message).toMatch(/^"encoder\.onnx" is not (used|an ONNX model): .+\.$/)
          }
        },
      ),
      { numRuns: process.env.ZIGMA_LONG ? 200_000 : 2000 },
    )
  })
})
