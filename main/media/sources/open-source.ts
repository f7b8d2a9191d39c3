import { realpath, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import type { ImportSource, RecognizedSource, SourceLayout } from '#contracts/dataset.ts'
import { StudioError } from '#contracts/errors.ts'
import { emptyFile, PictureError } from '../picture.ts'
import { readBounded } from './bounded-file.ts'
import { captionFiles, nameWords } from './caption.ts'
import { fileLimitBytes, type FileTree } from './file-tree.ts'
import { FolderTree } from './folder-tree.ts'
import { imageFolder } from './image-folder.ts'
import { kohyaFolder } from './kohya-folder.ts'
import { countItems, pictureFiles, plainLayout } from './picture-files.ts'
import { containerOf, describe, layoutOf, type Container } from './recognize.ts'
import { openSampleSet } from './sample-set.ts'
import { TarTree } from './tar-tree.ts'
import { readToml } from './toml-list.ts'
import { tomlItems } from './toml-source.ts'
import { shardFolder, shardItems } from './web-dataset.ts'
import { ZipTree } from './zip-tree.ts'
import type { PictureSource, SourceItem } from './source-item.ts'

/** What a path holds and in which layout, as an import of it would be read. @throws StudioError bad-source when it cannot be read. */
export async function recognizeSource(source: ImportSource): Promise<RecognizedSource> {
  if (source.kind === 'sample') return { container: 'sample', layout: 'plain', description: 'the sample set, Noto Emoji' }
  return orBadSource(source.path, async () => {
    const { container, layout, tree } = await openPath(source.path, source.layout ?? null)
    await tree?.close()
    return { container, layout, description: describe(container, layout) }
  })
}

/**
 * A source, ready to be read.
 *
 * @param mayRead whether a folder that a source names beyond itself may be read.
 * @throws StudioError bad-source when it cannot be read.
 */
export async function openSource(source: ImportSource, mayRead: (path: string) => boolean): Promise<PictureSource> {
  if (source.kind === 'sample') return openSampleSet()
  return orBadSource(source.path, async () => {
    const opened = await openPath(source.path, source.layout ?? null)
    const { root, real, container, layout, tree } = opened
    const description = describe(container, layout)
    if (tree) {
      const items = () => itemsOf(tree, opened)
      return { root, description, count: () => countItems(tree, layout), items, close: () => tree.close() }
    }
    const list = container === 'toml' ? readToml(await readBounded(real, tomlLimitBytes)) : null
    const items = () => (list ? tomlItems(real, list, mayRead) : oneFile(real, container === 'video', mayRead))
    return { root, description, count: async () => (list ? null : 1), items, close: async () => undefined }
  })
}

/** What a source refuses as a whole becomes one error that names it. */
async function orBadSource<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof PictureError) throw new StudioError('bad-source', `"${resolve(path)}": ${error.message}`, { cause: error })
    throw error
  }
}

const tomlLimitBytes = 4 * 1024 * 1024

interface OpenPath {
  root: string
  /** The same without links. */
  real: string
  container: Container
  layout: SourceLayout
  /** None where there is one file only. */
  tree: FileTree | null
}

async function openPath(path: string, wanted: SourceLayout | null): Promise<OpenPath> {
  const root = resolve(path)
  const real = await realpath(root).catch((cause: unknown) => {
    throw new StudioError('bad-source', `"${root}" cannot be read. Check that it is there and that you may open it.`, { cause })
  })
  const container = await containerOf(real)
  if (container === null) {
    const file = await stat(real)
    if (file.isFile() && file.size === 0) throw new PictureError('empty-file', emptyFile)
    throw new PictureError(
      'not-a-picture',
      'This is no source of pictures or videos. Choose a folder, a zip or tar archive, a TOML file, a picture or a video.',
    )
  }
  if (container === 'picture' || container === 'video' || container === 'toml')
    return { root, real, container, layout: 'plain', tree: null }
  if (container === 'zip' && wanted === 'webdataset')
    throw new PictureError('not-used', 'WebDataset is read from tars and from folders of tars. Choose another layout.')
  const tree = await openTree(container, real)
  try {
    return { root, real, container, layout: wanted ?? (await layoutOf(tree, container)), tree }
  } catch (error) {
    await tree.close()
    throw error
  }
}

/** @param path a real path: one without links. */
export function openTree(container: 'folder' | 'zip' | 'tar', path: string): Promise<FileTree> | FileTree {
  if (container === 'zip') return ZipTree.open(path)
  return container === 'tar' ? TarTree.open(path) : new FolderTree(path)
}

function itemsOf(tree: FileTree, { real, layout, container }: OpenPath): AsyncIterable<SourceItem> {
  if (layout === 'imagefolder') return imageFolder(tree)
  if (layout === 'kohya') return kohyaFolder(tree)
  if (layout === 'plain') return pictureFiles(tree, plainLayout)
  return container === 'tar' ? shardItems(tree, real, '') : shardFolder(tree, (name) => TarTree.open(join(real, name)))
}

async function* oneFile(path: string, isVideo: boolean, mayRead: (path: string) => boolean): AsyncGenerator<SourceItem> {
  const [folder, source] = [dirname(path), basename(path)]
  const beside = mayRead(folder) ? await captionFiles(new FolderTree(folder), source) : null
  const captions = beside && beside.captions.length > 0 ? beside.captions : [nameWords(source)]
  const said = { source, captions, tags: beside?.tags ?? [], facts: beside?.facts ?? {}, note: beside?.note ?? null }
  yield isVideo ? { ...said, video: { path } } : { ...said, read: () => readBounded(path, fileLimitBytes) }
}
