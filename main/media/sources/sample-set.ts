import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { readBounded } from './bounded-file.ts'
import { fileLimitBytes } from './file-tree.ts'
import type { PictureSource, SourceItem } from './source-item.ts'

const emoji = z.object({
  name: z.string().nullable(),
  short_name: z.string(),
  category: z.string(),
  image: z.string(),
  has_img_google: z.boolean(),
})

/**
 * The pictures of the sample project: Noto Emoji as packaged in emoji-datasource-google (Apache-2.0, see NOTICE.md), each with its name as
 * caption. Flags are left out: their names are countries, which a small model cannot learn to draw.
 */
export async function openSampleSet(): Promise<PictureSource> {
  const folder = dirname(createRequire(import.meta.url).resolve('emoji-datasource-google/package.json'))
  const all = z.array(emoji).parse(JSON.parse(await readFile(join(folder, 'emoji.json'), 'utf8')))
  const pictures = all
    .filter((item) => item.has_img_google && item.category !== 'Flags')
    .sort((a, b) => (a.image < b.image ? -1 : 1))
    .map(({ image, name, short_name: shortName }): SourceItem => ({
      source: image,
      captions: [(name ?? shortName.replaceAll('_', ' ')).toLowerCase()],
      tags: [],
      facts: {},
      note: null,
      read: () => readBounded(join(folder, 'img', 'google', '64', image), fileLimitBytes),
    }))
  return {
    root: 'sample',
    description: 'the sample set, Noto Emoji',
    count: async () => pictures.length,
    items: async function* () {
      yield* pictures
    },
    close: async () => undefined,
  }
}
