import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { StudioError } from '#contracts/errors.ts'
import { projectId, type ProjectId } from '#contracts/project.ts'
import type { SafeFs } from './safe-fs.ts'

const entry = z.object({
  id: projectId,
  name: z.string(),
  folder: z.string(),
  createdAt: z.iso.datetime(),
  openedAt: z.iso.datetime(),
  trashed: z.boolean(),
})
const file = z.object({ schema: z.literal(1), projects: z.array(entry) })
export type KnownProject = z.infer<typeof entry>

/** The studio's own settings: never inside a project, never in a folder that holds pictures. */
export function settingsFolder(): string {
  if (process.env.ZIGMA_HOME) return process.env.ZIGMA_HOME
  if (process.platform === 'win32') return join(process.env.APPDATA ?? homedir(), 'ZigMa Studio')
  if (process.platform === 'darwin') return join(homedir(), 'Library', 'Application Support', 'ZigMa Studio')
  return join(process.env.XDG_CONFIG_HOME ?? join(homedir(), '.config'), 'zigma-studio')
}

/** Where new projects are made. */
export function defaultProjectsFolder(): string {
  return process.env.ZIGMA_PROJECTS ?? join(homedir(), 'Documents', 'ZigMa Studio')
}

/** The projects this machine has seen. One whose folder is away is kept and shown as away, never forgotten. */
export class ProjectRegistry {
  readonly #path: string
  readonly #fs: SafeFs

  constructor(fs: SafeFs, folder = settingsFolder()) {
    this.#fs = fs
    this.#path = join(folder, 'projects.json')
  }

  async list(): Promise<KnownProject[]> {
    const text = await readFile(this.#path, 'utf8').catch(() => null)
    if (text === null) return []
    try {
      return file.parse(JSON.parse(text)).projects
    } catch (cause) {
      throw new StudioError(
        'corrupt-file',
        `The list of projects "${this.#path}" cannot be read. Move it away: opening a project's folder puts it on a new list.`,
        { cause },
      )
    }
  }

  async put(project: KnownProject): Promise<void> {
    const others = (await this.list()).filter(({ id }) => id !== project.id)
    await this.#fs.folder(join(this.#path, '..'))
    await this.#fs.writeFile(this.#path, `${JSON.stringify({ schema: 1, projects: [project, ...others] }, null, 2)}\n`)
  }

  /** Only for a project that was made and taken away at once: nobody has seen it. */
  async forget(id: ProjectId): Promise<void> {
    const projects = (await this.list()).filter((project) => project.id !== id)
    await this.#fs.writeFile(this.#path, `${JSON.stringify({ schema: 1, projects }, null, 2)}\n`)
  }

  async get(id: ProjectId): Promise<KnownProject | null> {
    return (await this.list()).find((project) => project.id === id) ?? null
  }
}
