import { realpath } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import type { ImportSource, RecognizedSource, SourceLayout } from '#contracts/dataset.ts'
import { StudioError } from '#contracts/errors.ts'
import { PictureError } from '../picture.ts'
import { readBounded } from './bounded-file.ts'
import { captionFiles, nameWords } from './caption.ts'
import { fileLimitBytes, type FileTree } from './file-tree.ts'
import { FolderTree } from './folder-tree.ts'
import { imageFolder } from './image-folder.ts'
import { kohyaFolder } from './kohya-folder.ts'
import { countFiles, pictureFiles, plainLayout } from './picture-files.ts'
import { containerOf, describe, layoutOf, type Container } from './recognize.ts'
import { openSampleSet } from './sample-set.ts'
import type { PictureSource, SourceItem } from './source-item.ts'

/** What a path holds and in which layout, as an import of it would be read. @throws StudioError bad-source when it cannot be read. */
export async function recognizeSource(source: ImportSource): Promise<RecognizedSource> {
  if (source.kind === 'sample') return { container: 'sample', layout: 'plain', description: 'the sample set, Noto Emoji' }
  const opened = await openPath(source.path, source.layout ?? null)
  await opened.tree?.close()
  const { container, layout } = opened
  return { container, layout, description: describe(container, layout) }
}

/**
 * A source, ready to be read.
 *
 * @param mayRead whether a folder that a source names beyond itself may be read.
 * @throws StudioError bad-source when it cannot be read.
 */
export async function openSource(source: ImportSource, mayRead: (path: string) => boolean): Promise<PictureSource> {
  if (source.kind === 'sample') return openSampleSet()
  const { root, container, layout, tree } = await openPath(source.path, source.layout ?? null)
  const description = describe(container, layout)
  if (!tree) return { ...onePicture(root, mayRead), description }
  return { root, description, count: () => countFiles(tree), items: () => itemsOf(tree, layout), close: () => tree.close() }
}

interface OpenPath {
  root: string
  container: Container
  layout: SourceLayout
  /** None where there is one file only. */
  tree: FileTree | null
}

async function openPath(path: string, wanted: SourceLayout | null): Promise<OpenPath> {
  const root = resolve(path)
  try {
    const real = await realpath(root).catch((cause: unknown) => {
      throw new StudioError('bad-source', `"${root}" cannot be read. Check that it is there and that you may open it.`, { cause })
    })
    const container = await containerOf(real)
    if (container === null) {
      throw new StudioError(
        'bad-source',
        `"${root}" is no source of pictures. Choose a folder, a zip or tar archive, a TOML file or a picture.`,
      )
    }
    if (container !== 'folder') return { root, container, layout: 'plain', tree: null }
    const tree = new FolderTree(real)
    return { root, container, layout: wanted ?? (await layoutOf(tree)), tree }
  } catch (error) {
    if (error instanceof PictureError) throw new StudioError('bad-source', `"${root}": ${error.message}`, { cause: error })
    throw error
  }
}

function itemsOf(tree: FileTree, layout: SourceLayout): AsyncIterable<SourceItem> {
  if (layout === 'imagefolder') return imageFolder(tree)
  if (layout === 'kohya') return kohyaFolder(tree)
  return pictureFiles(tree, plainLayout)
}

function onePicture(root: string, mayRead: (path: string) => boolean): Omit<PictureSource, 'description'> {
  const [folder, source] = [dirname(root), basename(root)]
  return {
    root,
    count: async () => 1,
    items: async function* () {
      const beside = mayRead(folder) ? await captionFiles(new FolderTree(folder), source) : null
      const captions = beside && beside.captions.length > 0 ? beside.captions : [nameWords(source)]
      const said = { tags: beside?.tags ?? [], facts: beside?.facts ?? {}, note: beside?.note ?? null }
      yield { source, captions, ...said, read: () => readBounded(root, fileLimitBytes) }
    },
    close: async () => undefined,
  }
}
