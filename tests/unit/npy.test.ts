import { describe, expect, test } from 'vitest'
import { npyBytes } from '#main/media/export/npy.ts'

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1')

describe('an array as NumPy reads it', () => {
  test('is, byte for byte, what NumPy itself writes', () => {
    const bytes = npyBytes(Float32Array.of(0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2), [2, 2, 2])
    // np.save of (np.arange(1, 9, dtype="<f4") / 4).reshape(2, 2, 2)
    const header = `\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2, 2), }${' '.repeat(55)}\n`
    const numbers = '0000803e0000003f0000403f0000803f0000a03f0000c03f0000e03f00000040'
    expect(text(bytes.subarray(0, 128))).toBe(header)
    expect(Buffer.from(bytes.subarray(128)).toString('hex')).toBe(numbers)
  })

  test.each([[[5]], [[4, 32, 32]], [[1, 1, 1]], [[12, 100, 100]], [Array.from({ length: 30 }, () => 1)]])(
    'of shape [%s] begins its numbers at a multiple of 64 bytes',
    (shape) => {
      const count = shape.reduce((product, n) => product * n, 1)
      const bytes = Buffer.from(npyBytes(new Float32Array(count).fill(-1.5), shape))
      const start = 10 + bytes.readUInt16LE(8)
      expect([start % 64, bytes[start - 1], bytes.length - start]).toEqual([0, 0x0a, count * 4])
      expect(text(bytes.subarray(10, start)).trimEnd()).toBe(
        `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(', ')}${shape.length === 1 ? ',' : ''}), }`,
      )
      expect(bytes.readFloatLE(start)).toBe(-1.5)
    },
  )

  test('has as many numbers as its shape says', () => {
    expect(() => npyBytes(new Float32Array(7), [2, 2, 2])).toThrow('npyBytes: 7 values were given for [2, 2, 2]')
  })
})
