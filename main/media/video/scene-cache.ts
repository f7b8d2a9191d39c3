import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sceneScores, type SceneScores } from '#contracts/video.ts'
import type { SafeFs } from '../../store/safe-fs.ts'

const version = 1

/** Scene scores by the sha256 of the video's bytes: decoded once, wherever the file lies. It may be deleted at any time. */
export class SceneCache {
  readonly #folder: string
  readonly #fs: SafeFs

  constructor(folder: string, fs: SafeFs) {
    this.#folder = folder
    this.#fs = fs
  }

  async get(fileHash: string): Promise<SceneScores | null> {
    const text = await readFile(this.#pathOf(fileHash), 'utf8').catch(() => null)
    if (text === null) return null
    try {
      return sceneScores.parse(JSON.parse(text))
    } catch {
      return null // damaged or of another make: it is made again
    }
  }

  async put(fileHash: string, scores: SceneScores): Promise<void> {
    await this.#fs.folder(this.#folder)
    await this.#fs.writeFile(this.#pathOf(fileHash), JSON.stringify(scores))
  }

  #pathOf(fileHash: string): string {
    return join(this.#folder, `${fileHash}-${version}.json`)
  }
}
