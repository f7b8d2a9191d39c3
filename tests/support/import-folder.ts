import { importPictures } from '#main/media/import-pictures.ts'
import { SafeFs } from '#main/store/safe-fs.ts'

/** A process of its own that imports the source of its first argument into the folder of its second, with copies, to be killed. */
const [source = '', datasetFolder = ''] = process.argv.slice(2)
await importPictures(
  { kind: 'folder', path: source, originals: 'copy' },
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
