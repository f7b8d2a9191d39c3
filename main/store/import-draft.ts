import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { importDraft, type ImportDraft } from '#contracts/import-wizard.ts'
import { isCode, type SafeFs } from './safe-fs.ts'

const draftFile = importDraft.extend({ schema: z.literal(1) })

/** `import-draft.json`: the import that is being prepared in a project, written down at every step. */
export class ImportDraftFile {
  readonly #path: string
  readonly #fs: SafeFs
  #turn: Promise<unknown> = Promise.resolve()

  constructor(projectRoot: string, fs: SafeFs) {
    this.#path = join(projectRoot, 'import-draft.json')
    this.#fs = fs
  }

  /** Null when there is none, or what is there is no draft: one that is lost costs a few clicks and must not keep a project from opening. */
  async read(): Promise<ImportDraft | null> {
    const text = await readFile(this.#path, 'utf8').catch((error: unknown) => {
      if (isCode(error, 'ENOENT')) return null
      throw error
    })
    if (text === null) return null
    try {
      const { schema: _schema, ...draft } = draftFile.parse(JSON.parse(text))
      return draft
    } catch {
      return null
    }
  }

  /** The last one that was given to be kept is the one that stays, however fast they come. */
  keep(draft: ImportDraft): Promise<void> {
    return this.#next(() => this.#fs.writeFile(this.#path, `${JSON.stringify({ schema: 1, ...draft }, null, 2)}\n`))
  }

  drop(): Promise<void> {
    return this.#next(() => this.#fs.remove(this.#path))
  }

  #next(work: () => Promise<void>): Promise<void> {
    const mine = this.#turn.then(work)
    this.#turn = mine.catch(() => undefined) // its caller hears of it
    return mine
  }
}
