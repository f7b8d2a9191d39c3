import { join } from 'node:path'
import { z } from 'zod'
import { captionMaker, type CaptionMaker, type CaptionRequest } from '#contracts/captioning.ts'
import { itemId, type ItemId } from '#contracts/project.ts'
import { jsonLines, readJsonLines } from './json-lines.ts'
import { sha256, type SafeFs } from './safe-fs.ts'

const said = z.object({ caption: z.string().nullable(), tags: z.array(z.string()) })
const line = z.union([z.object({ maker: captionMaker }), said.extend({ id: itemId })])
type Said = z.infer<typeof said>

/**
 * What a captioner said so far, for a job that is ended before it is through: the same request goes on from there. It is of use only to the
 * captioner that said it, so another model in the same folder starts over.
 */
export class CaptionLog {
  readonly #folder: string
  readonly #path: string
  readonly #fs: SafeFs

  constructor(folder: string, request: CaptionRequest, fs: SafeFs) {
    this.#folder = folder
    this.#path = join(folder, `${sha256(JSON.stringify(request)).slice(0, 32)}.jsonl`)
    this.#fs = fs
  }

  async begin(maker: CaptionMaker): Promise<Map<ItemId, Said>> {
    const lines = await readJsonLines(this.#path, line).catch(() => []) // it can be made again
    const [first, ...rest] = lines
    if (first && 'maker' in first && first.maker.hash === maker.hash)
      return new Map(rest.flatMap((one) => ('id' in one ? [[one.id, { caption: one.caption, tags: one.tags }]] : [])))
    await this.#fs.folder(this.#folder)
    await this.#fs.writeFile(this.#path, jsonLines([{ maker }]))
    return new Map()
  }

  add(lines: readonly (Said & { id: ItemId })[]): Promise<void> {
    return this.#fs.append(this.#path, jsonLines(lines))
  }

  remove(): Promise<void> {
    return this.#fs.remove(this.#path)
  }
}
