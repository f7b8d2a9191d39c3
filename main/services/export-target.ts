import { readdir, realpath, stat } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, relative, resolve } from 'node:path'
import { StudioError } from '#contracts/errors.ts'
import type { ExportLayout } from '#contracts/export.ts'
import { exists, isCode } from '../store/safe-fs.ts'
import type { OpenProject } from './open-project.ts'
import { isAllowed } from './dataset.ts'
import { freeBytes } from './system.ts'

const nameLimit = 120
const reserved = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i

/**
 * The folder of an export as it may be written: absolute, in a folder that is there and that this studio may use, itself not there yet or empty.
 *
 * @throws StudioError invalid-request, bad-source or already-exists with the way out.
 */
export async function checkTarget(project: OpenProject, wanted: string): Promise<string> {
  if (!isAbsolute(wanted)) throw new StudioError('invalid-request', `"${wanted}" is not a whole path. Give the folder from its root on.`)
  const name = basename(resolve(wanted))
  checkName(name)
  const parent = await checkPlace(project, dirname(resolve(wanted)))
  const folder = join(parent, name)
  const own = [project.folder.root, project.folder.exports].map((path) => relative(path, folder))
  const [inProject, inExports] = own.map((inside) => inside !== '' && !inside.startsWith('..') && !isAbsolute(inside))
  if (inProject && !inExports)
    throw new StudioError(
      'invalid-request',
      `"${folder}" lies among the project's own files. Choose a folder elsewhere, or one in "${project.folder.exports}".`,
    )
  await checkEmpty(folder, parent)
  return folder
}

/** A folder for an export that is not there yet. @throws StudioError bad-source when nothing may be put into `parent`. */
export async function suggestTarget(project: OpenProject, layout: ExportLayout, parent: string | null): Promise<string> {
  const own = project.folder.exports
  const place = parent === null || parent === own ? own : await checkPlace(project, parent)
  const base = `${safeName(project.file.name)} ${layout}`
  for (let i = 1; ; i++) {
    const folder = join(place, i === 1 ? base : `${base} ${i}`)
    if (!(await exists(folder))) return folder
  }
}

/** Left free on the disk, beside what an export takes. */
const spareBytes = 64 * 1024 ** 2

/** @throws StudioError disk-full when an export will not fit, before anything of it is written. */
export async function checkSpace(folder: string, sizeBytes: number): Promise<void> {
  const free = await freeBytes(dirname(folder))
  if (free === null || free >= sizeBytes + spareBytes) return
  throw new StudioError(
    'disk-full',
    `The export takes about ${mebibytes(sizeBytes)} and "${dirname(folder)}" has ${mebibytes(free)} free. Free some space, or choose another drive or fewer pictures.`,
  )
}

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 1024 ** 2).toLocaleString('en')} MiB`
}

/** A name for a file: signs that a file system refuses become spaces. */
export function safeName(name: string): string {
  const plain = name
    .replace(/[^\p{L}\p{N} _-]/gu, ' ')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, nameLimit / 2)
  return plain === '' || reserved.test(plain) ? 'Project' : plain
}

function checkName(name: string): void {
  const isGood = /^[^<>:"/\\|?*\p{Cc}]*[^<>:"/\\|?*\p{Cc}. ]$/u.test(name) && name.length <= nameLimit && !reserved.test(name)
  if (!isGood)
    throw new StudioError(
      'invalid-request',
      `"${name}" cannot be the name of a folder everywhere: it must have 1 to ${nameLimit} characters, none of < > : " / \\ | ? *, and end in neither a dot nor a space. Choose another name.`,
    )
}

/** A folder that something may be put into. @throws StudioError bad-source when it is not there, or this studio may not use it. */
export async function checkPlace(project: OpenProject, parent: string): Promise<string> {
  if (parent === project.folder.exports) await project.fs.folder(parent)
  const real = await realpath(parent).catch((cause: unknown) => {
    throw new StudioError('bad-source', `The folder "${parent}" is not there. Create it, or choose another to put the export in.`, {
      cause,
    })
  })
  if (!(await stat(real)).isDirectory()) throw new StudioError('bad-source', `"${parent}" is a file. Choose a folder to put the export in.`)
  const root = await realpath(project.folder.root)
  if (!isAllowed([...project.allowedRoots, root], real))
    throw new StudioError(
      'bad-source',
      `"${parent}" lies outside the folders this studio may use (${[...project.allowedRoots].join(', ')}). Start it with --allow FOLDER to add one.`,
    )
  return real
}

async function checkEmpty(folder: string, parent: string): Promise<void> {
  const entries = await readdir(folder).catch((error: unknown) => {
    if (isCode(error, 'ENOENT')) return null
    if (isCode(error, 'ENOTDIR')) throw new StudioError('already-exists', `"${folder}" is a file. Choose another name for the export.`)
    throw error
  })
  if (entries === null) return
  if (entries.length > 0)
    throw new StudioError(
      'already-exists',
      `"${folder}" is not empty, and an export never writes over anything. Choose another name, or empty the folder yourself.`,
    )
  if ((await stat(folder)).dev !== (await stat(parent)).dev)
    throw new StudioError('invalid-request', `"${folder}" is the root of a drive. Name a folder inside it.`)
}
