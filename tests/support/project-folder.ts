import { basename, join } from 'node:path'
import { importPictures } from '#main/media/import-pictures.ts'
import { SceneCache } from '#main/media/video/scene-cache.ts'
import { createProject } from '#main/store/project-folder.ts'
import { SafeFs } from '#main/store/safe-fs.ts'

/** A project in a folder of its own with the pictures of another folder in it, and with its videos where there is an ffmpeg; returns its folder. */
export async function projectWith(folder: string, pictures: string, imageSize: number, ffmpeg: string | null = null): Promise<string> {
  const fs = new SafeFs()
  await createProject(fs, folder, basename(folder))
  await importPictures(
    { kind: 'folder', path: pictures },
    { imageSize, background: '#ffffff' },
    {
      datasetFolder: join(folder, 'dataset'),
      originalsFolder: join(folder, 'sources'),
      ...(ffmpeg ? { videos: { ffmpeg: async () => ffmpeg, scenes: new SceneCache(join(folder, 'scenes'), fs) } } : {}),
      mayRead: () => true,
      fs,
      signal: new AbortController().signal,
      onProgress: () => undefined,
    },
  )
  return folder
}
