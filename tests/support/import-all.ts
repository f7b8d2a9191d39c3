import { join } from 'node:path'
import { importPictures } from '#main/media/import-pictures.ts'
import { SceneCache } from '#main/media/video/scene-cache.ts'
import { SafeFs } from '#main/store/safe-fs.ts'

/** Imports pictures and videos with copies of the originals. `onFile` is told before each file operation. */
export function importAll(source: string, datasetFolder: string, ffmpeg: string, onFile: () => void = () => undefined) {
  const fs = new SafeFs(() => void onFile())
  return importPictures(
    { kind: 'folder', path: source, originals: 'copy' },
    { imageSize: 64, background: '#ffffff' },
    {
      datasetFolder,
      originalsFolder: join(datasetFolder, 'sources'),
      mayRead: () => false,
      fs,
      videos: { ffmpeg: () => Promise.resolve(ffmpeg), scenes: new SceneCache(join(datasetFolder, 'scenes'), fs) },
      signal: new AbortController().signal,
      onProgress: () => undefined,
    },
  )
}
