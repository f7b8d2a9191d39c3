import { rmSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { tag } from '#contracts/curation.ts'
import { consent, datasetSplit } from '#contracts/dataset.ts'
import { kindIn, type ExportPlan } from '#contracts/export.ts'
import { clipRules, type ClipRules } from '#contracts/video.ts'
import { latentsEncoder, latentsSource } from '#engine/ports.ts'
import { DatasetFiles } from '#main/media/dataset-files.ts'
import type { ExportItem } from '#main/media/export/export-item.ts'
import { ExportLatents } from '#main/media/export/export-latents.ts'
import { SurveyCount } from '#main/media/export/survey.ts'
import { writeExport } from '#main/media/export/write-export.ts'
import { importPictures } from '#main/media/import-pictures.ts'
import { tidy } from '#main/media/sources/caption.ts'
import { SceneCache } from '#main/media/video/scene-cache.ts'
import { FeatureCache } from '#main/store/feature-cache.ts'
import { SafeFs } from '#main/store/safe-fs.ts'
import { exportableClips, clipSize, type ExportableClips } from '../support/exportable-clips.ts'
import { exportable, exportedSize, type Exportable } from '../support/exportable.ts'
import { ffmpeg } from '../support/made-videos.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const most = 9
let made: Exportable
let moving: ExportableClips
let home: string
let latents: ExportLatents
beforeAll(async () => {
  made = await exportable(most)
  moving = await exportableClips()
  home = temporaryFolder()
  const space = { hash: 'f'.repeat(64), name: 'any', channels: 4, factor: 8, scalingFactor: 1, shiftFactor: 0, dtype: 'f32', sizeBytes: 0, imageSize: null } as const // prettier-ignore
  const features = join(home, 'features')
  using cache = await FeatureCache.open(features, { kind: 'latents', encoder: latentsEncoder(space.hash), dtype: 'f32', shape: [4, 1, 1] }, quiet.fs) // prettier-ignore
  for (const [i, { pixelHash }] of made.items.entries()) await cache.write(latentsSource(pixelHash, false), new Uint8Array(16).fill(i))
  await cache.flush()
  latents = await ExportLatents.open(features, space, exportedSize)
})

const videos = { ffmpeg: async () => ffmpeg, scenes: new SceneCache(join(temporaryFolder(), 'scenes'), new SafeFs()) }
const quiet = { fs: new SafeFs(), signal: new AbortController().signal, onProgress: () => undefined }
type Plan = Pick<ExportPlan, 'layout' | 'pixels' | 'splits' | 'tags' | 'latents'>

async function* each<T>(values: readonly T[]): AsyncGenerator<T> {
  yield* values
}

async function exportItems(items: readonly ExportItem[], plan: Plan, folder: string): Promise<void> {
  const survey = new SurveyCount(kindIn(plan.layout))
  for (const item of items) survey.add(item)
  await writeExport({
    ...quiet,
    ...{ plan, folder, key: 'test', items: each(items), survey: survey.end(0), datasetFolder: made.datasetFolder, clips: moving.clips },
    ...{ originalsFolder: join(home, 'none'), imageSize: exportedSize, readme: () => '# card\n' },
    latents: plan.latents ? latents : null,
    ffmpeg,
  })
}

/** What an import, to which nobody says what the layout is, makes of an export. */
async function importAgain(folder: string, imageSize: number, rules?: ClipRules): Promise<Record<string, unknown>[]> {
  const datasetFolder = join(home, 'again')
  rmSync(datasetFolder, { recursive: true, force: true })
  await importPictures(
    { kind: 'folder', path: folder },
    { imageSize, background: '#ffffff', ...(rules ? { clips: rules } : {}) },
    { ...quiet, datasetFolder, originalsFolder: join(home, 'none'), mayRead: () => false, videos },
  )
  return (await new DatasetFiles(datasetFolder, new SafeFs()).items()) as unknown as Record<string, unknown>[]
}

// What people may write: quotes, line breaks, marks of other formats, any script.
const text = (maxLength: number) =>
  fc.oneof(
    fc.string({ unit: 'grapheme', maxLength }),
    fc.string({ unit: 'binary', maxLength }),
    fc.string({ unit: fc.constantFrom('"', "'", '\n', '\r', '\t', ',', '\\', '{', '}', '[', ' ', 'a', '\u2028', '\u0000', 'é', '猫', '🙂'), maxLength }), // prettier-ignore
  )
const tidied = (maxLength: number) => text(maxLength).map((one) => tidy(one))
const tags = fc
  .array(text(20), { maxLength: 4 })
  .map((all) => [...new Set(all.flatMap((one) => tag.safeParse(one.toWellFormed()).data ?? []))].filter((one) => tidy(one) === one))
const facts = fc.record({
  caption: text(60),
  captions: fc.array(text(30), { maxLength: 3 }),
  tags,
  split: fc.constantFrom(...datasetSplit.options),
  author: text(20),
  licence: text(20),
  origin: fc.oneof(text(20), fc.webUrl()),
  consent: fc.constantFrom(...consent.options),
  repeats: fc.oneof(fc.constant(null), fc.integer({ min: 1, max: 10_000 })),
  concept: fc.oneof(
    fc.constant(''),
    fc.constantFrom('red cat', 'Red Cat', 'red_cat', 'a/b', 'a:b', 'con', 'end.', '_', '***', 'picture', 'Picture'),
    tidied(12),
  ),
})
const dataSets = fc
  .uniqueArray(fc.nat(most - 1), { minLength: 1, maxLength: 6 })
  .chain((which) => fc.tuple(...which.map((i) => facts.map((said): ExportItem => ({ ...made.items[i]!, ...said })))))

/** What every import keeps of words: one line each, none of them twice. */
function words({ caption, captions }: ExportItem) {
  const all = [tidy(caption), ...captions.map((one) => tidy(one)).filter((one) => one !== '')]
  const [first = '', ...further] = [...new Set(all)]
  return { caption: first, captions: further }
}
const said = (value: string) => tidy(value) || undefined

/** What each layout carries, see docs/export.md. */
const carried: Record<Exclude<ExportPlan['layout'], 'videofolder'>, (item: ExportItem) => Record<string, unknown>> = {
  zigma: words,
  webdataset: (item) => ({ ...words(item), ...allFacts(item) }),
  imagefolder: (item) => ({ ...words(item), ...allFacts(item) }),
  // kohya's folders must have a number and a name.
  kohya: (item) => ({ ...words(item), ...allFacts(item), repeats: item.repeats ?? 1, concept: item.concept || 'picture' }),
}
function allFacts({ tags: words, author, licence, origin, consent: agreed, repeats, concept }: ExportItem) {
  return {
    ...{ tags: words, author: said(author), licence: said(licence), origin: said(origin) },
    ...{ consent: agreed === 'unknown' ? undefined : agreed, repeats: repeats ?? 1, concept: said(concept) },
  }
}

const plans: (Plan & { layout: keyof typeof carried })[] = (['webdataset', 'imagefolder', 'kohya', 'zigma'] as const).flatMap(
  (layout) =>
  (layout === 'zigma' ? (['training'] as const) : (['training', 'originals'] as const)).map((pixels) => ({ layout, pixels, splits: 'folders' as const, tags: 'beside' as const, latents: false })), // prettier-ignore
)
plans.push({ layout: 'zigma', pixels: 'training', splits: 'folders', tags: 'beside', latents: true })

async function expectBack(items: readonly ExportItem[], plan: (typeof plans)[number], apart: boolean): Promise<void> {
  const folder = join(home, 'exported')
  rmSync(folder, { recursive: true, force: true })
  await exportItems(items, { ...plan, splits: apart ? 'folders' : 'together' }, folder)
  const again = await importAgain(folder, exportedSize)

  const by = plan.pixels === 'training' ? 'pixelHash' : 'id' // an original has its bytes, and with them its id
  const expected = items.map((item) => ({ [by]: item[by], ...carried[plan.layout](item), ...(apart ? { split: item.split } : {}) }))
  const names = Object.keys(expected[0]!)
  const found = again.map((item) => Object.fromEntries(names.map((name) => [name, item[name]])))
  const sorted = (list: Record<string, unknown>[]) => list.toSorted((a, b) => (String(a[by]) < String(b[by]) ? -1 : 1))
  expect(sorted(found)).toEqual(sorted(expected))
}

describe('export and import again gives the same data set', () => {
  const named = plans.map((plan) => [`${plan.layout}, ${plan.pixels}${plan.latents ? ', latents' : ''}`, plan] as const)
  test.each(named)('%s', { timeout: 600_000 }, async (_name, plan) => {
    await fc.assert(
      fc.asyncProperty(dataSets, fc.boolean(), (items, apart) => expectBack(items, plan, apart)),
      { numRuns: process.env['ZIGMA_LONG'] === '1' ? 300 : 8 },
    )
  })

  // Folders are named for concepts: no name may be none, another's, or the one that stands for none.
  const unnameable = [['_', ''], ['***', ''], ['__', 'picture'], ['Picture', ''], ['_', '***', 'Picture', '']] // prettier-ignore
  test.each(named)('%s, of concepts that name no folder', async (_name, plan) => {
    const plain = { caption: 'a', captions: [], tags: [], split: 'train', author: '', licence: '', origin: '', consent: 'unknown', repeats: null } as const // prettier-ignore
    for (const concepts of unnameable)
      for (const apart of [true, false])
        await expectBack(concepts.map((concept, i): ExportItem => ({ ...made.items[i]!, ...plain, captions: [], tags: [], concept })), plan, apart) // prettier-ignore
  })
})

const clipSets = fc
  .uniqueArray(fc.nat(8), { minLength: 1, maxLength: 4 })
  .chain((which) => fc.tuple(...which.map((i) => facts.map((said): ExportItem => ({ ...moving.items[i]!, ...said })))))
/** How the import would cut other videos. */
const anyRules = fc
  .record({
    frames: fc.integer({ min: 1, max: 24 }),
    stride: fc.integer({ min: 1, max: 3 }),
    frameRate: fc.constantFrom(null, 8, 30),
    cutThreshold: fc.constantFrom(null, 0.1),
  })
  .map((rules) => clipRules.parse(rules))

test(
  'export to a video folder and import again gives the same clips, frame for frame, by whatever rules the import cuts',
  { timeout: 600_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(clipSets, anyRules, fc.boolean(), async (items, rules, apart) => {
        const folder = join(home, 'films')
        rmSync(folder, { recursive: true, force: true })
        const plan = { layout: 'videofolder', pixels: 'training', tags: 'beside', latents: false } as const
        await exportItems(items, { ...plan, splits: apart ? 'folders' : 'together' }, folder)
        const again = await importAgain(folder, clipSize, rules)

        const expected = items.map((item) => ({ pixelHash: item.pixelHash, frames: item.clip!.frames, frameRate: item.clip!.frameRate, ...words(item), ...allFacts(item), ...(apart ? { split: item.split } : {}) })) // prettier-ignore
        const names = Object.keys(expected[0]!)
        const found = again.map((item) => ({ ...item, ...(item['clip'] as { frames: number; frameRate: number }) }))
        const shown = found.map((item) => Object.fromEntries(names.map((name) => [name, (item as Record<string, unknown>)[name]])))
        const sorted = (list: Record<string, unknown>[]) => list.map((one) => JSON.stringify(one)).sort()
        expect(sorted(shown)).toEqual(sorted(expected))
        expect(found.map(({ frames, firstFrame, lastFrame, startSeconds, stride }: Record<string, unknown>) => [Number(lastFrame) + 1 - Number(frames), firstFrame, startSeconds, stride])).toEqual(items.map(() => [0, 0, 0, 1])) // prettier-ignore
      }),
      { numRuns: process.env['ZIGMA_LONG'] === '1' ? 100 : 6 },
    )
  },
)
