import type { SourceFacts, SourceLayout } from '#contracts/dataset.ts'
import { PictureError, pictureFormat } from '../picture.ts'
import { captionEndings, captionFiles, join, nameWords } from './caption.ts'
import { archiveFormat } from './archive-entry.ts'
import { fileLimitBytes, splitEnding, type FileTree, type TreeFile } from './file-tree.ts'
import { isVideoName, videoEndings } from '../video/video-folder.ts'
import type { Remark, Said, SourceItem, SourceVideo } from './source-item.ts'

const pictureNames = /\.(png|jpe?g|webp|gif|tiff?|avif|svg|bmp|heic|heif|ico|psd|pdf|jxl)$/i
const pictureEndings = ['png', 'jpg', 'jpeg', 'webp', 'gif', 'tif', 'tiff', 'avif'].flatMap((ending) => [
  `.${ending}`,
  `.${ending.toUpperCase()}`,
])

/** What a layout knows beside the files themselves. */
export interface Layout {
  /** What a picture's place says of it, its caption where no other is found. */
  place(name: string): { facts: SourceFacts; caption: string | null }
  /** What lists say of it; null where none names it. */
  listed(name: string): Said | null
  /** Files that are not pictures and are read by the layout itself. */
  isOwn(name: string): boolean
}

export const plainLayout: Layout = {
  place: () => ({ facts: {}, caption: null }),
  listed: () => null,
  isOwn: () => false,
}

/**
 * The pictures and videos among the files of a tree, each with what its caption files and the layout say; all other files with the reason why they
 * are none. What is called like a video is taken for one; its bytes decide when it is opened.
 */
export async function* pictureFiles(tree: FileTree, layout: Layout): AsyncGenerator<SourceItem> {
  for await (const file of tree.files()) {
    if (!file.refused && layout.isOwn(file.name)) continue
    const refused = file.refused ?? (isCaptionFile(file.name) ? await withoutPicture(tree, file.name) : await notAPicture(file))
    if (refused) yield { source: file.name, refused }
    else if (isVideoName(file.name)) yield { source: file.name, ...(await said(tree, file.name, layout)), video: videoOf(file) }
    else if (!isCaptionFile(file.name))
      yield { source: file.name, ...(await said(tree, file.name, layout)), read: () => file.read(fileLimitBytes) }
  }
}

/** About how many items there are: the files beside captions; not known where each file holds many. */
export async function countItems(tree: FileTree, layout: SourceLayout): Promise<number | null> {
  if (layout === 'webdataset') return null
  let count = 0
  for await (const { name } of tree.files()) if (!isCaptionFile(name)) count++
  return count
}

export function isCaptionFile(name: string): boolean {
  return captionEndings.some((ending) => name.endsWith(ending))
}

/** A video's own file, or a way to its bytes inside an archive. */
export function videoOf(file: TreeFile): SourceVideo['video'] {
  return file.path === null ? { read: () => file.read(fileLimitBytes) } : { path: file.path }
}

/** Sidecar files, then lists, then the words of the place or the name. */
async function said(tree: FileTree, name: string, layout: Layout): Promise<Said> {
  const { facts, caption } = layout.place(name)
  const [beside, listed] = [await captionFiles(tree, name), layout.listed(name)]
  const both = beside && listed ? join(beside, listed) : (beside ?? listed)
  const captions = both && both.captions.length > 0 ? both.captions : [caption ?? nameWords(name)]
  return { captions, tags: both?.tags ?? [], facts: { ...facts, ...both?.facts }, note: both?.note ?? null, whole: both?.whole }
}

async function notAPicture(file: TreeFile): Promise<Remark | null> {
  if (pictureNames.test(file.name) || isVideoName(file.name)) return null
  let head: Uint8Array
  try {
    head = await file.head(512)
  } catch (error) {
    if (error instanceof PictureError) return { reason: error.reason, detail: error.message } // the others may be whole
    throw error
  }
  if (pictureFormat(head.subarray(0, 32)) !== null) return null
  if (archiveFormat(head)) return { reason: 'not-used', detail: 'Archives inside a source are not opened. Import the archive on its own.' }
  return { reason: 'not-a-picture', detail: 'The file is not a picture.' }
}

async function withoutPicture(tree: FileTree, name: string): Promise<Remark | null> {
  const [stem] = splitEnding(name)
  for (const ending of ['', ...pictureEndings, ...videoEndings]) if (await tree.find(`${stem}${ending}`)) return null
  return { reason: 'caption-without-picture', detail: 'There is no picture or video of that name beside this file. Rename one of the two.' }
}
