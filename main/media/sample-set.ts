import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import type { SourceItem } from './picture-source.ts'

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
export async function listSampleSet(): Promise<SourceItem[]> {
  const folder = dirname(createRequire(import.meta.url).resolve('emoji-datasource-google/package.json'))
  const all = z.array(emoji).parse(JSON.parse(await readFile(join(folder, 'emoji.json'), 'utf8')))
  return all
    .filter((item) => item.has_img_google && item.category !== 'Flags')
    .map(({ image, name, short_name: shortName }) => ({
      source: image,
      path: join(folder, 'img', 'google', '64', image),
      caption: (name ?? shortName.replaceAll('_', ' ')).toLowerCase(),
      captionNote: null,
      refused: null,
    }))
    .sort((a, b) => (a.source < b.source ? -1 : 1))
}
