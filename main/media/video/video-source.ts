import type { WholeClip } from '#contracts/video.ts'
import { openSource, recognizeSource } from '../sources/open-source.ts'
import type { PictureSource } from '../sources/source-item.ts'

/** A folder of videos, or a single one, with what its layout says of them. To be closed. */
export async function openVideos(root: string, mayRead: (path: string) => boolean): Promise<PictureSource> {
  const { layout } = await recognizeSource({ kind: 'folder', path: root })
  const wanted = layout === 'webdataset' ? 'imagefolder' : layout // videos that lie beside tars are meant
  return openSource({ kind: 'folder', path: root, layout: wanted }, mayRead)
}

/** Those of the videos that their source says to be clips as they are, by their names inside it. */
export async function wholeClips(root: string, mayRead: (path: string) => boolean): Promise<ReadonlyMap<string, WholeClip>> {
  const source = await openVideos(root, mayRead)
  try {
    const found = new Map<string, WholeClip>()
    for await (const item of source.items()) if ('video' in item && item.whole) found.set(item.source, item.whole)
    return found
  } finally {
    await source.close()
  }
}
