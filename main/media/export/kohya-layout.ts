import { stringify } from 'smol-toml'
import { repeatsOf } from '../sources/kohya-folder.ts'
import { captionLine, factRecord } from './caption-record.ts'
import { factNames, type ExportItem, type Group } from './export-item.ts'
import type { Layout, LayoutOptions } from './layout.ts'

/** kohya's name for what has none: every folder must have one. */
const noConcept = 'picture'
const nameLength = 80

/** kohya's folders, "30_cat" with pictures and captions, and a dataset file that names those of the training split. */
export function kohyaLayout({ survey, splits, tags }: LayoutOptions): Layout {
  const folders = folderNames(survey.groups)
  const folderOf = (group: GroupKey, split: string) => `${splits === 'folders' ? `${split}/` : ''}${folders.get(keyOf(group))!}`
  const trained = survey.groups.filter(({ isTrained }) => isTrained || splits === 'together')
  return {
    endings: new Set(['png', 'jpg', 'webp']),
    tar: null,
    files: (item, { bytes, ending }) => {
      const stem = `${folderOf(item, item.split)}/${item.id}`
      const beside = besideCaption(item, folders.get(keyOf(item))!)
      return [
        { name: `${stem}.${ending}`, bytes },
        { name: `${stem}.txt`, bytes: captionLine(item, tags) },
        ...(beside ? [{ name: `${stem}.json`, bytes: JSON.stringify(beside) }] : []),
      ]
    },
    video: null,
    line: () => null,
    extras: () => [
      {
        name: 'dataset_config.toml',
        bytes: stringify({
          general: { caption_extension: '.txt' },
          datasets: [
            {
              subsets: trained.map((group) => ({
                image_dir: folderOf(group, 'train'),
                num_repeats: group.repeats,
                class_tokens: group.concept || noConcept,
              })),
            },
          ],
        }),
      },
    ],
    usage: [
      `kohya's sd-scripts read it: either \`train_data_dir\` = ${splits === 'folders' ? 'the folder `train`' : 'this folder'}, or \`dataset_config.toml\`, whose paths count from this folder: start them here.`,
      'What they do not read (further captions, tags, author, licence, consent, origin) lies in a `.json` beside the caption.',
    ],
  }
}

/** What a folder's name and a line of text cannot hold; null where that is nothing. */
function besideCaption(item: ExportItem, folder: string): Record<string, unknown> | null {
  const told = repeatsOf(folder)
  const isTold = item.concept === '' || told?.concept === item.concept
  const wanted = factNames.filter((name) => name !== 'repeats' && !(name === 'concept' && isTold))
  const record = factRecord(item, wanted)
  return Object.keys(record).length > 0 ? record : null
}

type GroupKey = Pick<ExportItem, 'repeats' | 'concept'>

function keyOf({ repeats, concept }: GroupKey): string {
  return `${repeats ?? 1}_${concept || noConcept}`
}

/** A folder for each of the groups; no two differ in case alone, and each is one that {@link repeatsOf} reads. */
function folderNames(groups: readonly Group[]): Map<string, string> {
  const names = new Map<string, string>()
  const taken = new Set<string>()
  // What has no concept comes first: nothing beside its captions says so, hence no other may have its folder.
  for (const group of groups.toSorted((a, b) => Number(isUnnamed(b)) - Number(isUnnamed(a)))) {
    const key = keyOf(group)
    if (names.has(key)) continue
    const base = folderName(group)
    let name = base
    for (let i = 2; taken.has(name.toLowerCase()); i++) name = `${base} (${i})`
    taken.add(name.toLowerCase())
    names.set(key, name)
  }
  return names
}

function isUnnamed({ concept }: Group): boolean {
  return concept === '' || concept === noConcept
}

/** Signs that a file system refuses become spaces; a concept of which no word is left ("_", "***") is named as none is. */
function folderName({ repeats, concept }: Group): string {
  const words = [
    ...concept
      .replace(/[<>:"/\\|?*\p{Cc}\p{Cs}]+/gu, ' ')
      .replace(/\s+/g, ' ')
      .normalize('NFC'),
  ]
  const name = `${repeats}_${words.slice(0, nameLength).join('').trim().replace(/[. ]+$/, '')}` // prettier-ignore
  return repeatsOf(name) ? name : `${repeats}_${noConcept}`
}
