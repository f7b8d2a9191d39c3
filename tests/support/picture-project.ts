import { mkdirSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { importPictures } from '#main/media/import-pictures.ts'
import { createProject, projectFolder } from '#main/store/project-folder.ts'
import { SafeFs } from '#main/store/safe-fs.ts'

/** A project of real pictures, of which it keeps copies; gives its folder. The pictures themselves lie in `pictures` beside it. */
export async function writePictureProject(
  folder: string,
  pictures: Readonly<Record<string, Uint8Array>>,
  imageSize: number,
): Promise<string> {
  const fs = new SafeFs()
  const source = join(folder, '..', 'pictures')
  mkdirSync(source, { recursive: true })
  for (const [name, bytes] of Object.entries(pictures)) writeFileSync(join(source, name), bytes)
  await createProject(fs, folder, basename(folder))
  const { dataset, originals } = projectFolder(folder)
  await importPictures(
    { kind: 'folder', path: source, originals: 'copy' },
    { imageSize, background: '#ffffff' },
    {
      datasetFolder: dataset,
      originalsFolder: originals,
      fs,
      mayRead: () => true,
      signal: new AbortController().signal,
      onProgress: () => undefined,
    },
  )
  return folder
}
