import { describe, expect, test } from 'vitest'
import { OnnxAutoencoder, inspectAutoencoder } from '#engine/autoencoder/autoencoder.ts'
import type { AutoencoderFiles } from '#engine/ports.ts'
import { smallModel } from '#tests/support/small-models.ts'
import {
  exactAutoencoder,
  exportedAutoencoder,
  halfAutoencoder,
  meanAutoencoder,
  type TinyAutoencoder,
} from '#tests/support/tiny-autoencoders.ts'
import { openRuntime } from '#native-ops/load.ts'

const runtime = openRuntime({ threads: 1 })
const plain = { scalingFactor: 1, shiftFactor: 0, latentChannels: null, factor: null }
const filesOf = (models: TinyAutoencoder, over: Partial<AutoencoderFiles> = {}): AutoencoderFiles => ({ ...plain, ...models, ...over })
/** Every byte occurs, and neighbors differ. */
const noise = (size: number) => Uint8Array.from({ length: 3 * size * size }, (_, i) => (i * 97 + (i >> 3)) % 256)

describe('an autoencoder of two ONNX models', () => {
  test('gives every byte back when its decoder undoes its encoder', async () => {
    using autoencoder = await OnnxAutoencoder.open(runtime, filesOf(exactAutoencoder()), 16)
    expect(autoencoder).toMatchObject({ shape: { channels: 12, height: 8, width: 8 }, factor: 2, dtype: 'f32' })
    const rgb = noise(16)
    const latents = await autoencoder.encode(rgb)
    expect(latents.length).toBe(12 * 8 * 8)
    expect(await autoencoder.decode(autoencoder.toModel(latents))).toEqual(rgb)
    // Orthogonal: the energy is what it was.
    const energy = (values: Iterable<number>) => [...values].reduce((sum, x) => sum + x * x, 0)
    expect(energy(latents)).toBeCloseTo(energy([...rgb].map((x) => x / 127.5 - 1)), 2)
  })

  test('shows the model (latent - shift) times scale, and takes that back before decoding', async () => {
    using autoencoder = await OnnxAutoencoder.open(runtime, filesOf(exactAutoencoder(), { scalingFactor: 0.25, shiftFactor: 2 }), 8)
    const latents = await autoencoder.encode(noise(8))
    const seen = autoencoder.toModel(latents)
    expect(seen[5]).toBeCloseTo((latents[5]! - 2) * 0.25, 6)
    expect(await autoencoder.decode(seen)).toEqual(noise(8))
  })

  test('takes the mean where the encoder gives mean and log-variance, and loses what it must: a checkerboard of 0 and 200 comes back as 100', async () => {
    using autoencoder = await OnnxAutoencoder.open(runtime, filesOf(meanAutoencoder()), 8)
    expect(autoencoder.shape).toEqual({ channels: 3, height: 4, width: 4 })
    const board = Uint8Array.from({ length: 3 * 64 }, (_, i) => ((Math.floor(i / 3) + Math.floor(i / 24)) % 2) * 200)
    const back = await autoencoder.decode(autoencoder.toModel(await autoencoder.encode(board)))
    expect([...new Set(back)]).toEqual([100])
  })

  test('mirrors the picture and not its latents when asked to', async () => {
    using autoencoder = await OnnxAutoencoder.open(runtime, filesOf(exactAutoencoder()), 8)
    const rgb = noise(8)
    const mirrored = rgb.map((_, i) => rgb[(Math.floor(i / 24) * 8 + 7 - (Math.floor(i / 3) % 8)) * 3 + (i % 3)]!)
    expect(await autoencoder.encode(rgb, { mirrored: true })).toEqual(await autoencoder.encode(mirrored))
  })

  test('leaves out the noise that an encoder adds: the same picture gives the same latents', async () => {
    const noisy = exactAutoencoder({
      encoderNodes: [
        { op: 'RandomNormalLike', inputs: ['mixed'], outputs: ['noise'], attributes: { mean: { float: 5 } } },
        { op: 'Add', inputs: ['mixed', 'noise'], outputs: ['latent_sample'] },
      ],
    })
    using autoencoder = await OnnxAutoencoder.open(runtime, filesOf(noisy), 8)
    expect(await autoencoder.decode(autoencoder.toModel(await autoencoder.encode(noise(8))))).toEqual(noise(8))
  })

  test('is told apart by trying it out', async () => {
    expect(await inspectAutoencoder(runtime, filesOf(exactAutoencoder(), { scalingFactor: 0.5 }))).toEqual({
      channels: 12,
      factor: 2,
      dtype: 'f32',
      imageSize: null,
      scalingFactor: 0.5,
      shiftFactor: 0,
    })
    expect(await inspectAutoencoder(runtime, filesOf(meanAutoencoder()))).toMatchObject({ channels: 3, factor: 2 })
  })

  test('is understood as exporters write it: all sizes symbolic, reshapes to shapes that are computed, mean and log-variance', async () => {
    const scale = { scalingFactor: 0.18215 }
    expect(await inspectAutoencoder(runtime, filesOf(exportedAutoencoder(), scale))).toMatchObject({ channels: 4, factor: 2, ...scale })
    expect(await inspectAutoencoder(runtime, filesOf(exportedAutoencoder(), { latentChannels: 4, factor: 2 }))).toMatchObject({
      channels: 4,
    })
  })

  test('of 16 bits gives its numbers with these bits, and every byte back to within one', async () => {
    using autoencoder = await OnnxAutoencoder.open(runtime, filesOf(halfAutoencoder()), 8)
    expect(autoencoder.dtype).toBe('f16')
    const latents = await autoencoder.encode(noise(8))
    expect(latents).toEqual(Float32Array.from(Float16Array.from(latents)))
    const back = await autoencoder.decode(autoencoder.toModel(latents))
    expect(Math.max(...noise(8).map((x, i) => Math.abs(x - back[i]!)))).toBeLessThanOrEqual(1)
  })

  test('is refused, in a sentence, when the two models do not belong together or are something else', async () => {
    const exact = exactAutoencoder()
    const mean = meanAutoencoder()
    const open = (models: TinyAutoencoder, size = 8) => OnnxAutoencoder.open(runtime, filesOf(models), size)
    await expect(open({ ...exact, decoder: mean.decoder })).rejects.toThrow('The encoder gives 12 channels and the decoder takes 3.')
    await expect(open(exact, 9)).rejects.toThrow('turns 9 x 9 pixels into 4 x 4 latents')
    const two = smallModel([{ op: 'Add', inputs: ['a', 'b'], outputs: ['c'] }], ['a', 'b'].map((name) => ({ name, dtype: 'f32', shape: [1] })), [{ name: 'c', dtype: 'f32', shape: [1] }]) // prettier-ignore
    await expect(open({ ...exact, encoder: two })).rejects.toThrow('"encoder.onnx" has 2 inputs')
    await expect(open({ ...exact, encoder: Uint8Array.of(8, 10, 255) })).rejects.toMatchObject({ code: 'corrupt-file' })
    const infinite = exactAutoencoder({ encoderNodes: [{ op: 'Log', inputs: ['mixed'], outputs: ['latent_sample'] }] })
    using broken = await open(infinite)
    await expect(broken.encode(noise(8))).rejects.toMatchObject({ code: 'not-finite' })
  })
})
