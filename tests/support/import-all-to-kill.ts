import { importAll } from './import-all.ts'

/** A process of its own that imports its first argument into the second by the ffmpeg of the third, to be killed. */
const [source = '', datasetFolder = '', ffmpeg = ''] = process.argv.slice(2)
await importAll(source, datasetFolder, ffmpeg, () => process.send!('at work'))
setInterval(() => undefined, 1000) // stays until it is killed
