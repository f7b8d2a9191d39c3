import { StudioError } from '#contracts/errors.ts'
import type { ModelFolder } from '../ports.ts'
import { ForeignModel } from '../runtime/foreign-model.ts'
import type { NativeRuntime } from '../runtime/native.ts'
import { guardModel } from './model-guard.ts'

const modelLimitBytes = 2_000_000_000
const textLimitBytes = 64 * 1024 * 1024

/** The files of a captioner, each read once; `hashes` gathers what its name is made of. */
export class ForeignFiles {
  readonly hashes: string[] = []
  readonly #folder: ModelFolder

  constructor(folder: ModelFolder) {
    this.#folder = folder
  }

  /** The first of some files that is there. @throws StudioError not-found naming what is missing. */
  async need(names: readonly string[], whatFor: string): Promise<{ name: string; bytes: Uint8Array }> {
    for (const name of names) {
      const bytes = await this.#read(name, name.endsWith('.onnx') ? modelLimitBytes : textLimitBytes)
      if (bytes) return { name, bytes }
    }
    throw new StudioError('not-found', `The folder has no ${names.map((name) => `"${name}"`).join(' and no ')}: ${whatFor}.`)
  }

  async model(runtime: NativeRuntime, names: readonly string[], whatFor: string): Promise<ForeignModel> {
    const { name, bytes } = await this.need(names, whatFor)
    guardModel(bytes, name)
    return ForeignModel.open(runtime, bytes, name)
  }

  /** A JSON file in its form; null where there is none. @throws StudioError corrupt-file */
  async json<T>(name: string, schema: { parse(value: unknown): T }): Promise<T | null> {
    const bytes = await this.#read(name, textLimitBytes)
    if (!bytes) return null
    try {
      return schema.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)))
    } catch (cause) {
      throw new StudioError(
        'corrupt-file',
        `"${name}" is damaged or of another form than such models have. Copy it again from where you got it.`,
        {
          cause,
        },
      )
    }
  }

  async #read(name: string, limitBytes: number): Promise<Uint8Array | null> {
    const file = await this.#folder.read(name, limitBytes)
    if (file) this.hashes.push(`${name} ${file.sha256}`)
    return file?.bytes ?? null
  }
}
