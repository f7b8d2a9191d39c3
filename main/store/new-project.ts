import { readdir, rm, rmdir } from 'node:fs/promises'
import { basename, relative, resolve, sep } from 'node:path'
import { projectFolder, readProject } from './project-folder.ts'
import { isCode } from './safe-fs.ts'

/** A folder in which a project is about to be made. */
export interface NewProject {
  root: string
  /** What lies there already; null where there is no folder yet. */
  before: readonly string[] | null
}

/** Null where there is a project already. */
export async function newProjectAt(folder: string): Promise<NewProject | null> {
  const root = resolve(folder)
  if (await readProject(root)) return null
  return { root, before: await readdir(root).catch(() => null) }
}

/** Takes a project away again that has just been made: its own files and folders, and nothing that lay there before or that another put there. */
export async function takeAway({ root, before }: NewProject): Promise<void> {
  const { root: _, database, ...places } = projectFolder(root)
  const own = new Set(Object.values(places).map((place) => relative(root, place).split(sep)[0]!))
  for (const ending of ['', '-wal', '-shm']) own.add(`${basename(database)}${ending}`)
  for (const name of await readdir(root))
    if (own.has(name) && !before?.includes(name)) await rm(resolve(root, name), { recursive: true, force: true })
  if (before !== null) return
  await rmdir(root).catch((error: unknown) => {
    if (!isCode(error, 'ENOTEMPTY')) throw error
  })
}
