import { describe, expect, test } from 'vitest'
import { openRuntime } from '#native-ops/load.ts'
import type { Arena, DeviceTensor, NativeErrorCode, SessionOptions } from '#native-ops/binding.ts'
import { isNativeError } from '#native-ops/binding.ts'
import { additionModel } from '#tests/support/small-models.ts'
import { squares } from '#tests/support/squares.ts'

const runtime = openRuntime({ threads: 1 })
const session = await runtime.createSession(additionModel(2))

/** What a call throws. */
function failure(call: () => unknown): Error & { code: NativeErrorCode } {
  try {
    call()
  } catch (error) {
    if (isNativeError(error)) return error
    throw error
  }
  throw new Error('The call did not fail.')
}

/** A value where TypeScript would not let it through. */
const wrong = (value: unknown) => value as never

describe('every wrong argument is refused in one sentence', () => {
  const arena = runtime.createArena(256)
  const tensor = arena.tensor(0, 'f32', [2, 2])
  const cases: [what: string, call: () => unknown, code: NativeErrorCode, words: string][] = [
    [
      'no size',
      () => runtime.createArena(wrong(undefined)),
      'ArgumentError',
      'sizeBytes must be a whole number of at least 1, not undefined',
    ],
    ['an empty arena', () => runtime.createArena(0), 'ArgumentError', 'at least 1, not 0'],
    ['a fraction', () => runtime.createArena(1.5), 'ArgumentError', 'not 1.5'],
    ['not a number', () => runtime.createArena(Number.NaN), 'ArgumentError', 'not NaN'],
    ['beyond the safe integers', () => runtime.createArena(2 ** 60), 'ArgumentError', 'whole number'],
    ['more memory than there is', () => runtime.createArena(2 ** 52), 'OutOfMemory', 'MiB of memory'],
    ['an unknown device', () => openRuntime({ device: wrong('abacus') }), 'DeviceError', "no device 'abacus'"],
    ['an unknown type', () => arena.tensor(0, wrong('f8'), [1]), 'ArgumentError', "'f8' is not an element type. Use one of f32"],
    ['a negative size', () => arena.tensor(0, 'f32', [-1]), 'ArgumentError', 'a size in a shape must be a whole number'],
    ['a shape that is no array', () => arena.tensor(0, 'f32', wrong(4)), 'ArgumentError', 'shape must be an array of sizes, not 4'],
    ['a shape that overflows', () => arena.tensor(0, 'f32', [2 ** 40, 2 ** 40]), 'ShapeError', 'larger than any memory'],
    [
      'a view beyond the end',
      () => arena.tensor(0, 'f32', [65]),
      'ArgumentError',
      'Bytes 0 to 260 do not lie inside an arena of 256 bytes',
    ],
    ['an offset beyond the end', () => arena.tensor(512, 'u8', [0]), 'ArgumentError', 'do not lie inside'],
    ['a crooked offset', () => arena.tensor(2, 'f32', [1]), 'ArgumentError', 'multiple of 4 for f32, not 2'],
    [
      'too few elements',
      () => {
        tensor.write(new Float32Array(3))
      },
      'ShapeError',
      'f32 [2, 2] holds 16 bytes; 12 were given',
    ],
    [
      'an array of numbers',
      () => {
        tensor.write(wrong([1, 2, 3, 4]))
      },
      'ArgumentError',
      'bytes must be a typed array or a DataView',
    ],
    [
      'a write beyond the end',
      () => {
        arena.write(250, new Uint8Array(7))
      },
      'ArgumentError',
      'Bytes 250 to 257',
    ],
    ['a read beyond the end', () => arena.read(0, 257), 'ArgumentError', 'Bytes 0 to 257'],
    [
      'an unknown input',
      () => {
        session.createBinding().bindInput('c', tensor)
      },
      'ArgumentError',
      "no input 'c'. It has: a, b.",
    ],
    [
      'an unknown output',
      () => {
        session.createBinding().bindOutput('a', tensor)
      },
      'ArgumentError',
      "no output 'a'. It has: sum.",
    ],
    [
      'another shape',
      () => {
        session.createBinding().bindInput('a', arena.tensor(0, 'f32', [4]))
      },
      'ShapeError',
      'is f32 [2, 2]; the tensor given is f32 [4]',
    ],
    [
      'another type',
      () => {
        session.createBinding().bindInput('a', arena.tensor(0, 'i32', [2, 2]))
      },
      'ShapeError',
      'given is i32 [2, 2]',
    ],
    [
      'no tensor',
      () => {
        session.createBinding().bindInput('a', wrong(undefined))
      },
      'ArgumentError',
      'tensor must be a DeviceTensor',
    ],
    [
      'an arena as tensor',
      () => {
        session.createBinding().bindInput('a', wrong(arena))
      },
      'ArgumentError',
      'tensor must be a DeviceTensor',
    ],
    [
      'a look-alike',
      () => {
        session.createBinding().bindInput('a', wrong({ ...tensor }))
      },
      'ArgumentError',
      'tensor must be a DeviceTensor',
    ],
    ['a profile that was not asked for', () => session.endProfiling(), 'ArgumentError', 'records no profile'],
  ]
  test.each(cases)('%s', (_, call, code, words) => {
    const error = failure(call)
    expect(error.message).toContain(words)
    expect(error.code).toBe(code)
    expect(error.stack).toContain('arguments.test.ts')
  })
})

test.each<[SessionOptions, string]>([
  [{ threads: 0 }, 'threads must be a whole number of at least 1, not 0'],
  [{ optimization: wrong('fast') }, "optimization must be 'all', 'basic' or 'none', not 'fast'"],
  [{ memoryPattern: wrong('yes') }, 'memoryPattern must be true or false, not yes'],
  [{ profile: wrong(1) }, 'profile must be a string, not 1'],
])('the session option %o is refused', async (options, words) => {
  await expect(runtime.createSession(additionModel(2), options)).rejects.toMatchObject({
    code: 'ArgumentError',
    message: expect.stringContaining(words) as string,
  })
})

test('bytes that are not a model are a ModelError', async () => {
  await expect(runtime.createSession(new Uint8Array(100).fill(255))).rejects.toMatchObject({ code: 'ModelError' })
  await expect(runtime.createSession(additionModel(2).subarray(0, 60))).rejects.toMatchObject({ code: 'ModelError' })
})

test('a run tells which inputs have no tensor', async () => {
  const binding = session.createBinding()
  const [a] = squares(runtime, 2, 1)
  await expect(binding.run()).rejects.toThrow('These inputs have no tensor yet: a, b.')
  binding.bindInput('a', a)
  await expect(binding.run()).rejects.toThrow('These inputs have no tensor yet: b.')
  binding.bindInput('b', a)
  await expect(binding.run()).rejects.toThrow('No output has a tensor yet.')
})

test('objects of the addon cannot be made with new, nor their methods borrowed', () => {
  const arena = runtime.createArena(64)
  const Arena = arena.constructor as new () => Arena
  expect(() => new Arena()).toThrow('cannot be made with `new`')
  const tensor = arena.tensor(0, 'f32', [1])
  const borrowed = Object.create(tensor) as DeviceTensor
  expect(() => borrowed.read()).toThrow('Illegal invocation')
  expect(() => tensor.read.call(wrong(arena))).toThrow('Illegal invocation')
})

test('a tensor of a DataView or of any typed array holds its bytes', () => {
  const tensor = runtime.createArena(64).tensor(0, 'i64', [1])
  tensor.write(new DataView(new BigInt64Array([1n, -5n]).buffer, 8, 8))
  expect(new BigInt64Array(tensor.read().buffer)[0]).toBe(-5n)
})
