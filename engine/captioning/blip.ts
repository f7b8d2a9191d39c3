import { configFile, preprocessorFile, tokenizerFile, type ConfigFile, type PreprocessorFile } from '#contracts/caption-model.ts'
import { StudioError } from '#contracts/errors.ts'
import type { CaptionerSight } from '#contracts/engine.ts'
import type { Feed, ForeignModel } from '../runtime/foreign-model.ts'
import type { NativeRuntime, ValueInfo } from '../runtime/native.ts'
import { encodedLength, endTokens } from './captioner-settings.ts'
import type { ForeignFiles } from './foreign-files.ts'
import { vocabularyOf, wordPieces, type Vocabulary } from './vocabulary.ts'

/** Names of the two halves: as BLIP is exported, and as encoder-decoder models are. */
const encoderNames = ['vision_model.onnx', 'encoder_model.onnx']
const decoderNames = ['text_decoder_model.onnx', 'decoder_model.onnx']
const encodedNames = ['last_hidden_state', 'encoder_hidden_states', 'hidden_states']
/** CLIP's, which BLIP was trained with. */
const blipColors = { mean: [0.48145466, 0.4578275, 0.40821073], std: [0.26862954, 0.26130258, 0.27577711] }
const plainColors = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] }
const known = { tokens: 'input_ids', mask: 'attention_mask', encoded: 'encoder_hidden_states', encodedMask: 'encoder_attention_mask' }

interface Halves {
  encoder: ForeignModel
  decoder: ForeignModel
}

type EndTokens = NonNullable<ReturnType<typeof endTokens>>

interface Shape {
  /** [1, length, width] of what the encoder gives. */
  encoded: number[]
  encodedName: string
  vocabulary: number
}

/**
 * Captions by an encoder of pictures and a decoder of words, always taking the likeliest next word. Two forms are known: BLIP's
 * (`vision_model.onnx`, `text_decoder_model.onnx`) and the usual encoder-decoder's (`encoder_model.onnx`, `decoder_model.onnx`), the decoder
 * without a cache of past keys; beside them `config.json`, `preprocessor_config.json` and `tokenizer.json` or `vocab.txt`.
 */
export class Blip implements Disposable {
  readonly sight: Omit<CaptionerSight, 'hash'>
  readonly #halves: Halves
  readonly #shape: Shape
  readonly #vocabulary: Vocabulary
  readonly #tokens: EndTokens
  readonly #scale: { factor: number; mean: readonly number[]; std: readonly number[] }

  private constructor(halves: Halves, config: ConfigFile, tokens: EndTokens, pre: PreprocessorFile | null, vocabulary: Vocabulary) {
    this.#halves = halves
    this.#vocabulary = vocabulary
    this.#tokens = tokens
    this.sight = sightOf(halves.encoder, config, pre)
    this.#shape = shapeOf(halves, config, this.sight, vocabulary)
    const colors = config.model_type === 'blip' ? blipColors : plainColors
    this.#scale = {
      factor: pre?.do_rescale === false ? 1 : (pre?.rescale_factor ?? 1 / 255),
      mean: pre?.do_normalize === false ? [0, 0, 0] : (pre?.image_mean ?? colors.mean),
      std: pre?.do_normalize === false ? [1, 1, 1] : (pre?.image_std ?? colors.std),
    }
  }

  static async open(runtime: NativeRuntime, files: ForeignFiles): Promise<Blip> {
    const config = await files.json('config.json', configFile)
    if (!config) throw new StudioError('not-found', 'The folder has no "config.json": the captioner\'s sizes and tokens.')
    const tokens = endTokens(config, await files.json('generation_config.json', configFile))
    if (!tokens)
      throw new StudioError('corrupt-file', 'Neither "config.json" nor "generation_config.json" says which tokens begin and end a caption.')
    const pre = await files.json('preprocessor_config.json', preprocessorFile)
    const vocabulary = await openVocabulary(files)
    const encoder = await files.model(runtime, encoderNames, 'the half that looks at pictures')
    try {
      const decoder = await files.model(runtime, decoderNames, 'the half that writes')
      try {
        return new Blip({ encoder, decoder }, config, tokens, pre, vocabulary)
      } catch (error) {
        decoder[Symbol.dispose]()
        throw error
      }
    } catch (error) {
      encoder[Symbol.dispose]()
      throw error
    }
  }

  async describe(rgb: Uint8Array, { maxTokens }: { maxTokens: number }, signal: AbortSignal): Promise<{ caption: string; tags: string[] }> {
    const { encoder, decoder } = this.#halves
    const { encoded: shape, encodedName, vocabulary } = this.#shape
    const { width, height } = this.sight
    const pixels: Feed = { name: encoder.inputs[0]!.name, dtype: 'f32', shape: [1, 3, height, width], data: this.#normalize(rgb) }
    const encoded = await encoder.run([pixels], { name: encodedName, shape }, signal)
    const asks = new Set(decoder.inputs.map(({ name }) => name))
    const ids = [this.#tokens.start]
    while (ids.length <= maxTokens) {
      const feeds: Feed[] = [
        { name: known.tokens, dtype: 'i64', shape: [1, ids.length], data: BigInt64Array.from(ids, BigInt) },
        { name: known.mask, dtype: 'i64', shape: [1, ids.length], data: new BigInt64Array(ids.length).fill(1n) },
        { name: known.encoded, dtype: 'f32', shape, data: encoded },
        { name: known.encodedMask, dtype: 'i64', shape: [1, shape[1]!], data: new BigInt64Array(shape[1]).fill(1n) },
      ]
      const logits = await decoder.run(
        feeds.filter(({ name }) => asks.has(name)),
        { name: 'logits', shape: [1, ids.length, vocabulary] },
        signal,
      )
      const next = likeliest(logits.subarray((ids.length - 1) * vocabulary))
      if (this.#tokens.ends.includes(next)) break
      ids.push(next)
    }
    return { caption: this.#vocabulary.decode(ids.slice(1)).trim(), tags: [] }
  }

  /** [height, width, 3] of bytes -> [3, height, width] of numbers about zero. */
  #normalize(rgb: Uint8Array): Float32Array {
    const { factor, mean, std } = this.#scale
    const plane = rgb.length / 3
    const out = new Float32Array(rgb.length)
    for (let i = 0; i < plane; i++) for (let c = 0; c < 3; c++) out[c * plane + i] = (rgb[i * 3 + c]! * factor - mean[c]!) / std[c]!
    return out
  }

  [Symbol.dispose](): void {
    this.#halves.encoder[Symbol.dispose]()
    this.#halves.decoder[Symbol.dispose]()
  }
}

async function openVocabulary(files: ForeignFiles): Promise<Vocabulary> {
  const tokenizer = await files.json('tokenizer.json', tokenizerFile)
  if (tokenizer) return vocabularyOf(tokenizer)
  const { bytes } = await files.need(['vocab.txt'], 'the words of the captioner (a "tokenizer.json" does as well)')
  const lines = new TextDecoder()
    .decode(bytes)
    .replace(/\r?\n$/, '')
    .split(/\r?\n/)
  return wordPieces(new Map(lines.map((piece, id) => [id, piece])), new Set())
}

function sightOf(encoder: ForeignModel, config: ConfigFile, pre: PreprocessorFile | null): Omit<CaptionerSight, 'hash'> {
  const [input] = encoder.inputs
  if (
    encoder.inputs.length !== 1 ||
    !input ||
    input.dtype !== 'f32' ||
    input.shape.length !== 4 ||
    (input.shape[1] !== 3 && typeof input.shape[1] === 'number')
  )
    throw refused(encoder, 'it must take one float32 input "pixel_values" [batch, 3, height, width]')
  const crop = pre?.do_center_crop ? pre.crop_size : null
  const asked = crop ?? pre?.size ?? (config.vision_config ?? config.encoder)?.image_size
  const [fixedHeight, fixedWidth] = input.shape.slice(2)
  const side =
    typeof asked === 'number'
      ? { height: asked, width: asked }
      : asked && 'shortest_edge' in asked
        ? { height: asked.shortest_edge, width: asked.shortest_edge }
        : asked
  const height = typeof fixedHeight === 'number' ? fixedHeight : side?.height
  const width = typeof fixedWidth === 'number' ? fixedWidth : side?.width
  if (!height || !width || height > 2048 || width > 2048)
    throw refused(encoder, 'nothing says how large its pictures are; "preprocessor_config.json" usually does')
  const isCrop = crop !== null && crop !== undefined
  return { width, height, fit: isCrop || (typeof asked === 'object' && asked !== null && 'shortest_edge' in asked) ? 'cover' : 'fill' }
}

function shapeOf(
  { encoder, decoder }: Halves,
  config: ConfigFile,
  { width, height }: { width: number; height: number },
  words: Vocabulary,
): Shape {
  const foreign = decoder.inputs.find(({ name }) => !Object.values(known).includes(name))
  if (foreign)
    throw refused(
      decoder,
      `it asks for "${foreign.name}". Export the decoder without a cache of past keys ("decoder_model.onnx", not a merged one)`,
    )
  for (const name of [known.tokens, known.encoded])
    if (!decoder.inputs.some((input) => input.name === name)) throw refused(decoder, `it has no input "${name}"`)
  const logits = decoder.outputs.find(({ name }) => name === 'logits')
  if (!logits || logits.dtype !== 'f32' || logits.shape.length !== 3)
    throw refused(decoder, 'it has no float32 output "logits" [batch, tokens, words]')
  const given = encoder.outputs.find(({ name }) => encodedNames.includes(name)) ?? encoder.outputs[0]
  if (!given || given.dtype !== 'f32' || given.shape.length !== 3)
    throw refused(encoder, 'it has no float32 output "last_hidden_state" [batch, length, width]')
  const takes = decoder.inputs.find(({ name }) => name === known.encoded)!
  const vision = config.vision_config ?? config.encoder
  const length = sized(given, 1) ?? sized(takes, 1) ?? encodedLength(config, width, height)
  const depth = sized(given, 2) ?? sized(takes, 2) ?? vision?.hidden_size
  const vocabulary = sized(logits, 2) ?? config.text_config?.vocab_size ?? config.decoder?.vocab_size ?? config.vocab_size ?? words.size
  if (!length || !depth)
    throw refused(encoder, 'nothing says how many vectors it gives of a picture; "config.json" usually names the patch size and the width')
  return { encoded: [1, length, depth], encodedName: given.name, vocabulary }
}

function sized({ shape }: ValueInfo, at: number): number | null {
  const size = shape[at]
  return typeof size === 'number' ? size : null
}

function likeliest(logits: Float32Array): number {
  let best = 0
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i
  return best
}

function refused({ name }: ForeignModel, why: string): StudioError {
  return new StudioError(
    'corrupt-file',
    `"${name}" is not a captioner of a form that is known here: ${why}. docs/captioning.md describes both forms.`,
  )
}
