import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { StudioError } from '#contracts/errors.ts'
import { displayName, projectId, type ProjectId } from '#contracts/project.ts'
import { isCode, type SafeFs } from './safe-fs.ts'

const projectFile = z.object({ schema: z.literal(1), id: projectId, name: displayName, createdAt: z.iso.datetime() })
export type ProjectFile = z.infer<typeof projectFile>

/** Where everything of a project lies. All paths inside are relative to its folder, so it can be moved. */
export interface ProjectFolder {
  readonly root: string
  readonly file: string
  readonly database: string
  readonly dataset: string
  /** Copies of imported files, where copies are wanted. */
  readonly originals: string
  readonly runs: string
  readonly outputs: string
  readonly thumbnails: string
  readonly staging: string
  readonly scenes: string
  /** Where exports go unless people choose another place. */
  readonly exports: string
  /** Lists of exports that are being written. */
  readonly exportLists: string
  /** What captioners said so far in jobs that have not ended. */
  readonly captioning: string
  /** Copies of the autoencoders that models of the project work with. */
  readonly autoencoders: string
  /** Kept results of encoders. */
  readonly features: string
  readonly lock: string
}

export function projectFolder(root: string): ProjectFolder {
  const inside = (name: string) => join(root, name)
  return {
    root,
    file: inside('project.json'),
    database: inside('library.db'),
    dataset: inside('dataset'),
    originals: inside('sources'),
    runs: inside('runs'),
    outputs: inside('outputs'),
    thumbnails: join(root, 'cache', 'thumbnails'),
    staging: join(root, 'cache', 'staging'),
    scenes: join(root, 'cache', 'scenes'),
    exports: inside('exports'),
    exportLists: join(root, 'cache', 'exports'),
    captioning: join(root, 'cache', 'captioning'),
    autoencoders: inside('autoencoders'),
    features: join(root, 'cache', 'latents'),
    lock: inside('.lock'),
  }
}

export async function readProject(root: string): Promise<ProjectFile | null> {
  const text = await readFile(projectFolder(root).file, 'utf8').catch((error: unknown) => {
    if (isCode(error, 'ENOENT') || isCode(error, 'ENOTDIR')) return null
    throw error
  })
  if (text === null) return null
  try {
    return projectFile.parse(JSON.parse(text))
  } catch (cause) {
    throw new StudioError(
      'corrupt-file',
      `"${projectFolder(root).file}" is not a project file of this studio. Restore it from a copy or choose another folder.`,
      { cause },
    )
  }
}

export async function writeProject(fs: SafeFs, root: string, project: ProjectFile): Promise<void> {
  await fs.folder(root)
  await fs.writeFile(projectFolder(root).file, `${JSON.stringify(project, null, 2)}\n`)
}

/** A new id: ten characters of Crockford's base 32, lower case. */
export function newId(): string {
  const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'
  return Array.from(randomBytes(12), (byte) => alphabet[byte % 32]).join('')
}

export async function createProject(fs: SafeFs, root: string, name: string): Promise<ProjectFile> {
  if (await readProject(root)) throw new StudioError('already-exists', `"${root}" holds a project already. Open it or choose another name.`)
  const project = projectFile.parse({ schema: 1, id: newId() as ProjectId, name, createdAt: new Date().toISOString() })
  await writeProject(fs, root, project).catch((cause: unknown) => {
    const why =
      isCode(cause, 'EEXIST') || isCode(cause, 'ENOTDIR')
        ? 'because a file is in its place'
        : isCode(cause, 'EACCES') || isCode(cause, 'EPERM') || isCode(cause, 'EROFS')
          ? 'because you may not write there'
          : null
    if (why === null) throw cause
    throw new StudioError('invalid-request', `"${root}" cannot be the folder of a project, ${why}. Choose another folder.`, { cause })
  })
  return project
}
