import type { CaptionModel } from '#contracts/captioning.ts'
import type { CaptionerSight } from '#contracts/engine.ts'
import { StudioError } from '#contracts/errors.ts'
import type { ForeignFiles } from './foreign-files.ts'
import type { ForeignModel } from '../runtime/foreign-model.ts'
import type { NativeRuntime } from '../runtime/native.ts'

type Settings = Extract<CaptionModel, { kind: 'tagger' }>
type Category = 'general' | 'character' | 'rating'

/** As the csv files of such taggers number them. */
const categories: Readonly<Record<string, Category>> = { '0': 'general', '4': 'character', '9': 'rating' }
const sides = { min: 8, max: 2048 }
/** Faces made of signs keep their underscores: "^_^". */
const face = /^[^\p{L}\p{N}]*_[^\p{L}\p{N}]*$|^[\p{L}\p{N}^<>=+|@;:.]_[\p{L}\p{N}^<>=+|@;:.]$/u

export interface Label {
  name: string
  category: Category | null
}

/**
 * The tags of `selected_tags.csv`, in the order of the model's outputs.
 *
 * @throws StudioError corrupt-file when it has no columns `name` and `category`
 */
export function readLabels(text: string): Label[] {
  const [header = [], ...rows] = csvRows(text)
  const [name, category] = [header.indexOf('name'), header.indexOf('category')]
  if (name < 0 || category < 0 || rows.length === 0)
    throw new StudioError(
      'corrupt-file',
      '"selected_tags.csv" must begin with a line of columns, "name" and "category" among them, and have a line for each tag.',
    )
  return rows.map((row) => ({ name: row[name] ?? '', category: categories[row[category] ?? ''] ?? null }))
}

function csvRows(text: string): string[][] {
  return text
    .replace(/^\ufeff/, '')
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '')
    .map((line) =>
      [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? ''),
    )
}

/** The tags whose probability reaches its threshold, likeliest first: characters, then the rest; of the ratings the likeliest. */
export function chooseTags(
  labels: readonly Label[],
  probabilities: Float32Array,
  { general, character, ratings }: Pick<Settings, 'general' | 'character' | 'ratings'>,
): string[] {
  const scored = labels.map((label, i) => ({ ...label, p: probabilities[i]! })).sort((a, b) => b.p - a.p)
  const above = (category: Category, least: number) => scored.filter((one) => one.category === category && one.p >= least)
  const rating = ratings ? scored.find(({ category }) => category === 'rating') : undefined
  return [
    ...above('character', character),
    ...above('general', general),
    ...(rating ? [{ ...rating, name: `rating:${rating.name}` }] : []),
  ].map(({ name }) => (face.test(name) ? name : name.replaceAll('_', ' ')))
}

/** Tags by a model of the WD family: square pictures as float32 [1, side, side, 3], blue first, 0 to 255; a probability for each tag. */
export class Tagger implements Disposable {
  readonly sight: Omit<CaptionerSight, 'hash'>
  readonly #model: ForeignModel
  readonly #labels: readonly Label[]

  private constructor(model: ForeignModel, labels: readonly Label[], side: number) {
    this.#model = model
    this.#labels = labels
    this.sight = { width: side, height: side, fit: 'contain' }
  }

  static async open(runtime: NativeRuntime, files: ForeignFiles): Promise<Tagger> {
    const { bytes } = await files.need(['selected_tags.csv'], "the names of the tagger's tags")
    const labels = readLabels(new TextDecoder().decode(bytes))
    const model = await files.model(runtime, ['model.onnx'], 'the tagger itself')
    try {
      return new Tagger(model, labels, sideOf(model, labels.length))
    } catch (error) {
      model[Symbol.dispose]()
      throw error
    }
  }

  async describe(rgb: Uint8Array, settings: Settings, signal: AbortSignal): Promise<{ caption: string | null; tags: string[] }> {
    const { width, height } = this.sight
    const data = new Float32Array(rgb.length)
    for (let i = 0; i < rgb.length; i += 3) [data[i], data[i + 1], data[i + 2]] = [rgb[i + 2]!, rgb[i + 1]!, rgb[i]!]
    const [input, output] = [this.#model.inputs[0]!.name, this.#model.outputs[0]!.name]
    const feeds = [{ name: input, dtype: 'f32' as const, shape: [1, height, width, 3], data }]
    const probabilities = await this.#model.run(feeds, { name: output, shape: [1, this.#labels.length] }, signal)
    const tags = chooseTags(this.#labels, probabilities, settings)
    return { caption: settings.asCaption && tags.length > 0 ? tags.join(', ') : null, tags }
  }

  [Symbol.dispose](): void {
    this.#model[Symbol.dispose]()
  }
}

function sideOf({ inputs, outputs }: ForeignModel, labels: number): number {
  const refused = (why: string) =>
    new StudioError(
      'corrupt-file',
      `"model.onnx" is not a tagger of this kind: ${why}. It must take float32 pictures [batch, side, side, 3] and give [batch, tags].`,
    )
  const [input, output] = [inputs[0], outputs[0]]
  if (inputs.length !== 1 || !input || !output) throw refused(`it has ${inputs.length} inputs instead of one`)
  const [, height, width, channels] = input.shape
  if (input.dtype !== 'f32' || input.shape.length !== 4 || channels !== 3)
    throw refused(`its input is ${input.dtype} [${input.shape.map((size) => size || '?').join(', ')}]`)
  if (typeof height !== 'number' || height !== width || height < sides.min || height > sides.max)
    throw refused(`its pictures are ${height || '?'} x ${width || '?'}, and must be squares of ${sides.min} to ${sides.max}`)
  const given = output.shape.at(-1)
  if (output.dtype !== 'f32' || output.shape.length !== 2)
    throw refused(`its output is ${output.dtype} with ${output.shape.length} dimensions`)
  if (typeof given === 'number' && given !== labels)
    throw new StudioError(
      'corrupt-file',
      `"model.onnx" gives ${given} probabilities and "selected_tags.csv" names ${labels} tags. Take both from the same place.`,
    )
  return height
}
