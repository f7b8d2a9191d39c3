import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { StudioError } from '#contracts/errors.ts'
import { readSafetensors, writeSafetensors, type StoredTensor } from '#engine/checkpoint/safetensors.ts'
import { loadFloats, storeFloats } from '#engine/checkpoint/tensor-bytes.ts'

const tensors = () =>
  new Map<string, StoredTensor>([
    ['b', storeFloats(Float32Array.of(1.5, -2, 3), [3])],
    ['a.weight', storeFloats(Float32Array.of(1, 2, 3, 4), [2, 2])],
  ])
const sound = () => writeSafetensors({ metadata: { title: 'two' }, tensors: tensors() })

/** A file with this header text and this many bytes of data. */
function withHeader(header: string, dataBytes = 0): Uint8Array {
  const text = new TextEncoder().encode(header)
  const file = new Uint8Array(8 + text.length + dataBytes)
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true)
  file.set(text, 8)
  return file
}

describe('a safetensors file', () => {
  test('gives back what was written, names, shapes, values and metadata', () => {
    const read = readSafetensors(sound())
    expect(read.metadata).toEqual({ title: 'two' })
    expect([...read.tensors.keys()]).toEqual(['a.weight', 'b'])
    expect(read.tensors.get('a.weight')!.shape).toEqual([2, 2])
    expect([...loadFloats(read.tensors.get('b')!)]).toEqual([1.5, -2, 3])
  })

  test('has the same bytes whatever the order in which its tensors were given', () => {
    const reversed = new Map([...tensors()].reverse())
    expect(writeSafetensors({ metadata: { title: 'two' }, tensors: reversed })).toEqual(sound())
  })

  const tensor = (start: number, end: number, more = '') => `{"dtype":"F32","shape":[1],"data_offsets":[${start},${end}]${more}}`
  test.each([
    ['is shorter than its length field', new Uint8Array(5), 'has 5 bytes'],
    ['claims a longer header than the file', withHeader('{}').subarray(0, 9), 'header claims 2 bytes'],
    ['has a header that is not JSON', withHeader('{nonsense'), 'not JSON'],
    ['has a header that is a list', withHeader('[]'), 'does not begin with "{"'],
    ['names a tensor twice', withHeader(`{"a":${tensor(0, 4)},"a":${tensor(0, 4)}}`, 4), 'names a tensor twice'],
    ['has a type that is not known', withHeader('{"a":{"dtype":"F12","shape":[1],"data_offsets":[0,4]}}', 4), 'unknown type "F12"'],
    [
      'has a size that does not match its shape',
      withHeader('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}', 4),
      'needs 8 bytes and is given 4',
    ],
    ['has a negative size', withHeader('{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', 4), 'is not a list of sizes'],
    [
      'has a size too large to count',
      withHeader('{"a":{"dtype":"F32","shape":[9007199254740991,9],"data_offsets":[0,4]}}', 4),
      '"a" needs',
    ],
    ['has tensors that overlap', withHeader(`{"a":${tensor(0, 4)},"b":${tensor(2, 6)}}`, 6), 'belong to no tensor or to two'],
    ['has a hole between tensors', withHeader(`{"a":${tensor(0, 4)},"b":${tensor(8, 12)}}`, 12), 'belong to no tensor or to two'],
    ['ends before its tensors do', withHeader(`{"a":${tensor(0, 4)}}`, 2), 'ends at byte 4, the data at 2'],
    ['has data behind its tensors', withHeader(`{"a":${tensor(0, 4)}}`, 8), 'end at byte 4, its data at 8'],
    ['has metadata that is not text', withHeader('{"__metadata__":{"a":1}}'), 'metadata "a" is not text'],
  ])('that %s is refused in one sentence', (_what, file, sentence) => {
    expect(() => readSafetensors(file, 'model.safetensors')).toThrow(sentence)
    expect(() => readSafetensors(file, 'model.safetensors')).toThrow(/^model\.safetensors is not a sound safetensors file: /)
  })

  test('with any byte changed, cut or added is read or refused, and nothing else happens', () => {
    const runs = process.env.ZIGMA_LONG ? 1_000_000 : 5_000
    const edit = fc.record({ at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }), kind: fc.constantFrom('change', 'cut', 'add') })
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
        let file = sound()
        for (const { at, byte, kind } of edits) {
          const i = at % (file.length + 1)
          if (kind === 'change' && i < file.length) file = file.with(i, byte)
          if (kind === 'cut') file = file.slice(0, i)
          if (kind === 'add') file = Uint8Array.from([...file.subarray(0, i), byte, ...file.subarray(i)])
        }
        try {
          readSafetensors(file)
        } catch (error) {
          if (!(error instanceof StudioError && error.code === 'corrupt-file')) throw error
        }
      }),
      { numRuns: runs },
    )
  }, 600_000)

  test('cannot reach the prototype of objects by its names', () => {
    const file = withHeader(`{"__proto__":${tensor(0, 4)},"constructor":${tensor(4, 8)}}`, 8)
    expect([...readSafetensors(file).tensors.keys()].sort()).toEqual(['__proto__', 'constructor'])
    expect(({} as Record<string, unknown>).dtype).toBeUndefined()
  })
})
