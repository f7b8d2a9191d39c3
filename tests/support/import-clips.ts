import { join } from 'node:path'
import { clipOptions } from '#contracts/video.ts'
import { importVideos } from '#main/media/video/import-videos.ts'
import { SceneCache } from '#main/media/video/scene-cache.ts'
import { SafeFs } from '#main/store/safe-fs.ts'

/** A process of its own that imports the videos of its first argument into the second by the ffmpeg of the third, to be killed. */
const [folder = '', datasetFolder = '', ffmpeg = ''] = process.argv.slice(2)
const fs = new SafeFs(() => void process.send?.('at work')) // before each file operation
await importVideos(folder, clipOptions.parse({ imageSize: 64, rules: { frames: 16 } }), {
  ffmpeg,
  datasetFolder,
  scenes: new SceneCache(join(datasetFolder, 'scenes'), fs),
  fs,
  signal: new AbortController().signal,
  mayRead: () => false,
  onProgress: () => undefined,
})
setInterval(() => undefined, 1000) // stays until it is killed
