import { importPictures } from '#main/media/import-pictures.ts'
import { SafeFs } from '#main/store/safe-fs.ts'

/** A process of its own that imports the folder of its first argument into the second, to be killed. */
const [folder = '', datasetFolder = ''] = process.argv.slice(2)
await importPictures(
  { kind: 'folder', path: folder },
  { imageSize: 16, background: '#ffffff' },
  {
    datasetFolder,
    originalsFolder: `${datasetFolder}/sources`,
    mayRead: () => false,
    fs: new SafeFs(),
    signal: new AbortController().signal,
    onProgress: ({ done }) => process.stdout.write(`${done}\n`),
  },
)
