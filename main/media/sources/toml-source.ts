import { realpath, stat } from 'node:fs/promises'
import { basename, dirname, relative, resolve, sep } from 'node:path'
import { tidy } from './caption.ts'
import { FolderTree } from './folder-tree.ts'
import { repeatsOf } from './kohya-folder.ts'
import { pictureFiles, plainLayout } from './picture-files.ts'
import type { RefusedItem, SourceItem } from './source-item.ts'
import type { TomlFolder, TomlList } from './toml-list.ts'

/** The pictures of the folders that a TOML file names, each folder with its repeats and what goes around its captions. */
export async function* tomlItems(file: string, list: TomlList, mayRead: (path: string) => boolean): AsyncGenerator<SourceItem> {
  yield* list.told
  const names = new Set<string>()
  for (const folder of list.folders) {
    const inside = relative(dirname(file), resolve(dirname(file), folder.path))
      .split(sep)
      .join('/')
    const short = inside.startsWith('..') ? basename(folder.path) : inside || '.'
    const name = unused(names, short)
    const found = await openFolder(file, folder, name, mayRead)
    if ('refused' in found) yield found
    else yield* folderItems(found.path, name, folder, list.maker)
  }
}

async function* folderItems(path: string, name: string, folder: TomlFolder, maker: TomlList['maker']): AsyncGenerator<SourceItem> {
  const fromName = repeatsOf(basename(path))
  if (fromName && fromName.repeats !== folder.repeats) {
    const detail = `The folder's name says ${fromName.repeats} repeats and the TOML file ${folder.repeats}; the file counts, as with ${maker}.`
    yield { source: `${name}/`, refused: { reason: 'not-used', detail } }
  }
  const glue = maker === 'kohya' ? ' ' : '' // each as its maker does it
  const { repeats, concept, prefix, suffix } = folder
  const facts = { ...(repeats > 1 ? { repeats } : {}), ...(concept ? { concept: tidy(concept, 500) } : {}) }
  const layout = { ...plainLayout, place: () => ({ facts, caption: concept && tidy(concept) }) }
  for await (const item of pictureFiles(new FolderTree(path, { isFlat: true }), layout)) {
    const source = `${name}/${item.source}`
    if ('refused' in item) yield { source, refused: item.refused }
    else yield { ...item, source, captions: item.captions.map((caption) => tidy([prefix, caption, suffix].join(glue))) }
  }
}

async function openFolder(
  file: string,
  { path, captionEnding }: TomlFolder,
  name: string,
  mayRead: (path: string) => boolean,
): Promise<{ path: string } | RefusedItem> {
  const refuse = (reason: RefusedItem['refused']['reason'], detail: string) => ({ source: `${name}/`, refused: { reason, detail } })
  if (captionEnding !== null && !['.txt', '.caption', '.json'].includes(captionEnding))
    return refuse(
      'not-used',
      `Its captions end in ${JSON.stringify(captionEnding.slice(0, 20))}; only .txt, .caption and .json are read. Rename them.`,
    )
  const real = await realpath(resolve(dirname(file), path)).catch(() => null)
  const isFolder = real !== null && (await stat(real)).isDirectory()
  if (!isFolder) return refuse('file-missing', 'The TOML file names this folder, and it is not there. Correct the path.')
  const inside = relative(dirname(file), real)
  const isInside = inside !== '..' && !inside.startsWith(`..${sep}`) && resolve(dirname(file), inside) === real
  if (isInside || mayRead(real)) return { path: real }
  return refuse(
    'link-outside',
    'The folder lies outside those that this studio may read. Import the folder on its own, or start the studio with --allow.',
  )
}

function unused(names: Set<string>, wanted: string): string {
  let name = wanted
  for (let i = 2; names.has(name); i++) name = `${wanted} (${i})`
  names.add(name)
  return name
}
