import { basename, join } from 'node:path'
import { importPictures } from '#main/media/import-pictures.ts'
import { createProject } from '#main/store/project-folder.ts'
import { SafeFs } from '#main/store/safe-fs.ts'

/** A project in a folder of its own with the pictures of another folder in it; returns its folder. */
export async function projectWith(folder: string, pictures: string, imageSize: number): Promise<string> {
  const fs = new SafeFs()
  await createProject(fs, folder, basename(folder))
  await importPictures(
    { kind: 'folder', path: pictures },
    { imageSize, background: '#ffffff' },
    {
      datasetFolder: join(folder, 'dataset'),
      originalsFolder: join(folder, 'sources'),
      mayRead: () => true,
      fs,
      signal: new AbortController().signal,
      onProgress: () => undefined,
    },
  )
  return folder
}
