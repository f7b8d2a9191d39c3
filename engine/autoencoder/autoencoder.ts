import type { AutoencoderInfo, LatentScale } from '#contracts/autoencoder.ts'
import { StudioError } from '#contracts/errors.ts'
import { readForeignModel, withInput, type ForeignModel, type ForeignPort } from '../lowering/onnx/foreign-model.ts'
import { imageValues, mirror, rgbBytes } from '../pixels.ts'
import type { AutoencoderFiles } from '../ports.ts'
import { ForeignProgram } from '../runtime/foreign-program.ts'
import type { NativeRuntime } from '../runtime/native.ts'

export interface LatentShape {
  channels: number
  height: number
  width: number
}

/** Takes square pictures of one size to latents and back. */
export interface Autoencoder extends Disposable {
  readonly shape: LatentShape
  /** Pixels along each side that one latent stands for. */
  readonly factor: number
  /** Type in which the encoder gives its numbers: all of their bits are kept in it. */
  readonly dtype: 'f32' | 'f16'
  /** RGB bytes -> latents [C, h, w] as the encoder gives them. The same bytes give the same bits. @throws StudioError not-finite. */
  encode(rgb: Uint8Array, options?: { mirrored?: boolean; signal?: AbortSignal }): Promise<Float32Array>
  /** Latents as the model sees them -> RGB bytes of a square picture. @throws StudioError not-finite. */
  decode(latents: Float32Array, signal?: AbortSignal): Promise<Uint8Array>
  /** What the encoder gives -> what the model sees. */
  toModel(latents: Float32Array): Float32Array
}

/** Size at which an autoencoder that takes any is tried out. */
const trialSize = 64

/**
 * A user's autoencoder of two ONNX models. The encoder takes a picture [1, 3, H, W] in [-1, 1] and gives latents [1, C, h, w], or their mean and
 * log-variance [1, 2C, h, w], of which the mean is taken; the decoder takes latents [1, C, h, w] and gives a picture.
 */
export class OnnxAutoencoder implements Autoencoder {
  readonly shape: LatentShape
  readonly factor: number
  readonly dtype: 'f32' | 'f16'
  readonly #imageSize: number
  readonly #scale: LatentScale
  readonly #encoder: ForeignProgram
  readonly #compileDecoder: () => Promise<ForeignProgram>
  #decoder: Promise<ForeignProgram> | null = null

  private constructor(
    imageSize: number,
    shape: LatentShape,
    scale: LatentScale,
    encoder: ForeignProgram,
    compileDecoder: () => Promise<ForeignProgram>,
  ) {
    this.shape = shape
    this.factor = imageSize / shape.width
    this.dtype = encoder.output.dtype
    this.#imageSize = imageSize
    this.#scale = scale
    this.#encoder = encoder
    this.#compileDecoder = compileDecoder
  }

  /** @throws StudioError unsafe-file, corrupt-file, or invalid-request for models that are no autoencoder of pictures of this size. */
  static async open(runtime: NativeRuntime, files: AutoencoderFiles, imageSize: number): Promise<OnnxAutoencoder> {
    const encoder = readForeignModel(files.encoder, 'encoder.onnx')
    const decoder = readForeignModel(files.decoder, 'decoder.onnx')
    const image = onlyInput(encoder)
    const latent = onlyInput(decoder)
    checkSides(encoder, image, [1, 3, imageSize, imageSize])
    const declared = sizeAt(latent, 1) ?? files.latentChannels
    const input = { name: image.name, dtype: image.dtype, shape: [1, 3, imageSize, imageSize] }
    const program = await compile(runtime, encoder, input, (given) =>
      encoderOutput(encoder, given, imageSize, { ...files, channels: declared }),
    )
    try {
      const [, given, height, width] = program.output.shape as [number, number, number, number]
      const isMoments = declared === null ? /param|moment/i.test(program.output.name) && given % 2 === 0 : given === 2 * declared
      const channels = isMoments ? given / 2 : given
      if (declared !== null && channels !== declared)
        refuse(`The encoder gives ${given} channels and the decoder takes ${declared}. Choose two models that belong together.`)
      if (height !== width || imageSize % height !== 0)
        refuse(
          `The encoder turns ${imageSize} x ${imageSize} pixels into ${width} x ${height} latents, which is no whole number of pixels each. Import at another size or choose another autoencoder.`,
        )
      checkSides(decoder, latent, [1, channels, height, width])
      const compileDecoder = () =>
        compile(runtime, decoder, { name: latent.name, dtype: latent.dtype, shape: [1, channels, height, width] }, (outputs) => {
          const output = outputs.find(({ name }) => name === 'sample') ?? outputs[0]
          if (!output) return refuse('The decoder gives nothing. Choose another one.')
          checkSides(decoder, output, [1, 3, imageSize, imageSize])
          return { name: output.name, dtype: floatType(decoder, output), shape: [1, 3, imageSize, imageSize] }
        })
      return new OnnxAutoencoder(imageSize, { channels, height, width }, files, program, compileDecoder)
    } catch (error) {
      program[Symbol.dispose]()
      throw error
    }
  }

  async encode(rgb: Uint8Array, { mirrored = false, signal }: { mirrored?: boolean; signal?: AbortSignal } = {}): Promise<Float32Array> {
    const values = new Float32Array(3 * this.#imageSize ** 2)
    const picture = mirrored ? rgb.slice() : rgb
    if (mirrored) mirror(picture, this.#imageSize)
    imageValues(picture, this.#imageSize, values)
    const given = await this.#encoder.run(values, signal)
    const { channels, height, width } = this.shape
    const latents = given.slice(0, channels * height * width) // of moments the mean
    checkFinite(latents, 'encoder')
    return latents
  }

  async decode(latents: Float32Array, signal?: AbortSignal): Promise<Uint8Array> {
    const { scalingFactor, shiftFactor } = this.#scale
    const decoder = await (this.#decoder ??= this.#compileDecoder())
    const values = await decoder.run(
      latents.map((x) => x / scalingFactor + shiftFactor),
      signal,
    )
    checkFinite(values, 'decoder')
    return rgbBytes(values, this.#imageSize, this.#imageSize)
  }

  toModel(latents: Float32Array): Float32Array {
    const { scalingFactor, shiftFactor } = this.#scale
    return latents.map((x) => (x - shiftFactor) * scalingFactor)
  }

  [Symbol.dispose](): void {
    this.#encoder[Symbol.dispose]()
    this.#decoder?.then(
      (decoder) => decoder[Symbol.dispose](),
      () => undefined, // it was never there; whoever asked for it was told
    )
  }
}

/** What an autoencoder is, found by taking a picture through it and back. @throws StudioError where that does not work. */
export async function inspectAutoencoder(
  runtime: NativeRuntime,
  files: AutoencoderFiles,
  signal?: AbortSignal,
): Promise<Omit<AutoencoderInfo, 'hash' | 'name' | 'sizeBytes'>> {
  const side = sizeAt(onlyInput(readForeignModel(files.encoder, 'encoder.onnx')), 2)
  const imageSize = side ?? trialSize
  using autoencoder = await OnnxAutoencoder.open(runtime, files, imageSize)
  const ramp = Uint8Array.from({ length: 3 * imageSize ** 2 }, (_, i) => i % 256)
  await autoencoder.decode(autoencoder.toModel(await autoencoder.encode(ramp, signal ? { signal } : {})), signal)
  const { shape, factor, dtype } = autoencoder
  const { scalingFactor, shiftFactor } = files
  return { channels: shape.channels, factor, dtype, imageSize: side, scalingFactor, shiftFactor }
}

function refuse(sentence: string): never {
  throw new StudioError('invalid-request', sentence)
}

type FloatPort = ForeignPort & { dtype: 'f32' | 'f16' }

function onlyInput(model: ForeignModel): FloatPort {
  const [input, ...others] = model.inputs
  if (!input || others.length > 0)
    return refuse(`"${model.name}" has ${model.inputs.length} inputs; that of an autoencoder has one. Choose another model.`)
  return { ...input, dtype: floatType(model, input) }
}

function floatType({ name }: ForeignModel, { name: port, dtype }: { name: string; dtype: string | null }): 'f32' | 'f16' {
  if (dtype === 'f32' || dtype === 'f16') return dtype
  return refuse(
    `"${port}" of "${name}" is ${dtype ?? 'of a type that is not known'}; pictures are float32 or float16. Export it as one of these.`,
  )
}

function sizeAt({ shape }: Pick<ForeignPort, 'shape'>, axis: number): number | null {
  const size = shape?.[axis]
  return typeof size === 'number' && size > 0 ? size : null
}

/** Sizes that a model fixes must be those that are needed. */
function checkSides({ name }: ForeignModel, port: Pick<ForeignPort, 'name' | 'shape'>, wanted: readonly number[]): void {
  if (!port.shape) return
  const fits = port.shape.length === wanted.length && wanted.every((size, axis) => (sizeAt(port, axis) ?? size) === size)
  if (!fits)
    refuse(
      `"${port.name}" of "${name}" is ${port.shape.map((size) => size || '?').join(' x ')}, and ${wanted.join(' x ')} is needed. Export it for this size or for any.`,
    )
}

async function compile(
  runtime: NativeRuntime,
  model: ForeignModel,
  input: Parameters<typeof ForeignProgram.compile>[2],
  placeOf: Parameters<typeof ForeignProgram.compile>[3],
): Promise<ForeignProgram> {
  try {
    return await ForeignProgram.compile(runtime, withInput(model, input), input, placeOf)
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'ModelError')) throw cause
    throw new StudioError('corrupt-file', `"${model.name}" cannot be used: ${firstLine(cause.message)}`, { cause })
  }
}

function encoderOutput(
  model: ForeignModel,
  outputs: Parameters<Parameters<typeof ForeignProgram.compile>[3]>[0],
  imageSize: number,
  { channels, factor }: { channels: number | null; factor: number | null },
): ReturnType<Parameters<typeof ForeignProgram.compile>[3]> {
  const output = outputs.find(({ name }) => name === 'latent_sample' || name === 'latent_parameters') ?? outputs[0]
  if (!output) return refuse('The encoder gives nothing. Choose another one.')
  const isMoments = /param|moment/i.test(output.name)
  const side = factor === null ? null : imageSize / factor
  const found = [
    1,
    sizeAt(output, 1) ?? (channels && (isMoments ? 2 * channels : channels)),
    sizeAt(output, 2) ?? side,
    sizeAt(output, 3) ?? side,
  ]
  if (output.shape.length !== 4)
    return refuse(`"${output.name}" of "${model.name}" has ${output.shape.length} axes; latents have 4. Choose another model.`)
  if (!found.every((size): size is number => size !== null && Number.isInteger(size)))
    return refuse(
      `"${model.name}" does not say how large "${output.name}" is for a picture of ${imageSize} x ${imageSize}. Put its config.json (latent_channels, block_out_channels) beside it.`,
    )
  return { name: output.name, dtype: floatType(model, output), shape: found }
}

function checkFinite(values: Float32Array, part: string): void {
  if (values.every((x) => Number.isFinite(x))) return
  throw new StudioError('not-finite', `The ${part} gives numbers that are not finite. Choose another autoencoder, or one in float32.`)
}

function firstLine(message: string): string {
  return (message.split('\n')[0] ?? '').slice(0, 300)
}
