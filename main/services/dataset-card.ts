import type { Consent, DatasetSummary } from '#contracts/dataset.ts'
import type { CardFacts, Tally } from '../store/dataset-figures.ts'

const listed = 20

/** A data set's card as Markdown with the front matter that Hugging Face reads: what is in it, where it comes from, who agreed, and what is not known. */
export function datasetCard(
  name: string,
  { totals, imageSize, snapshot }: Pick<DatasetSummary, 'totals' | 'imageSize' | 'snapshot'>,
  facts: CardFacts,
  captionsBy: readonly Tally[] = [],
): string {
  const count = (n: number, one: string = nounOf(facts)) => `${n} ${one}${n === 1 ? '' : 's'}`
  const pictures = facts.items - facts.clips
  const clips = `${count(facts.clips, 'clip')} of ${facts.frames} frames in all`
  const content = [...(pictures > 0 || facts.clips === 0 ? [count(pictures, 'picture')] : []), ...(facts.clips > 0 ? [clips] : [])].join(
    ' and ',
  )
  const lines = [
    ...['---', `pretty_name: ${JSON.stringify(name)}`, `license: ${licenceId(facts)}`, 'task_categories:'],
    ...(pictures > 0 || facts.clips === 0 ? ['- text-to-image'] : []),
    ...(facts.clips > 0 ? ['- text-to-video'] : []),
    ...['size_categories:', `- ${sizeCategory(facts.items)}`, '---', '', `# ${escaped(name)}`, ''],
    `${content}${imageSize === null ? '' : `, trained on as squares of ${imageSize} pixels`}; ${count(facts.captioned)} with a caption, ${facts.tagged} with tags.`,
    ...(snapshot ? [`Snapshot \`${snapshot}\`: the same content has the same name.`] : []),
    ...['', '## Consent and licences', ''],
    ...consentSentences(facts),
    ...table('Consent', facts.consents, (value) => consentWords[value as Consent]),
    ...table('Licence', facts.licences),
    ...table('Author', facts.authors),
    ...['## Where the pictures come from', ''],
    `The import found ${totals.found} files: ${totals.used} are used whole, ${totals.partial} in part and ${totals.rejected} not. People rejected another ${facts.rejected}.`,
    '',
    ...table('Source', facts.origins),
    ...['## Content', ''],
    ...(facts.sizes
      ? [
          `Originals are ${range(facts.sizes.minWidth, facts.sizes.maxWidth)} pixels wide and ${range(facts.sizes.minHeight, facts.sizes.maxHeight)} high.`,
          '',
        ]
      : []),
    ...table('Split', facts.splits),
    ...(facts.repeated > 0
      ? [
          `An epoch of training shows ${facts.shown} pictures, counting those that come more than once, of which there are ${facts.repeated}.`,
          '',
        ]
      : []),
    ...table('Tag', facts.tags),
    ...table('Captions made by', captionsBy),
    ...['## What to know', ''],
    facts.measured < pictures
      ? `- ${pictures - facts.measured} of ${count(pictures, 'picture')} are not measured, so near duplicates among them are not known.`
      : '- All pictures were compared with each other for near duplicates.',
    ...(facts.clips > 0 ? ['- Clips are compared byte for byte only; no model here trains on them yet.'] : []),
    `- ${facts.duplicates} have a duplicate; ${facts.leaks} have one in another split, so that what is held back was seen while training.`,
    facts.lookedThrough === 0
      ? '- Nobody looked for watermarks.'
      : `- ${facts.lettered} of ${facts.lookedThrough} that were looked through have rows of letters, as watermarks have; letters of the scene count too, and faint or turned stamps are not seen.`,
    '',
  ]
  return lines.join('\n')
}

const consentWords: Record<Consent, string> = {
  unknown: 'not known',
  given: 'given',
  'not-needed': 'not needed',
  refused: 'refused',
}

/** What the items are called where they are meant together. */
function nounOf({ clips }: CardFacts): 'item' | 'picture' {
  return clips > 0 ? 'item' : 'picture'
}

function consentSentences(facts: CardFacts): string[] {
  const { items, consents, licences } = facts
  const all = `${items} ${nounOf(facts)}s`
  const of = (tallies: readonly Tally[], value: string) => tallies.find((one) => one.value === value)?.items ?? 0
  const [unknown, refused, unlicensed] = [of(consents, 'unknown'), of(consents, 'refused'), of(licences, '')]
  const sentences = [
    ...(refused > 0 ? [`**Consent was refused for ${refused} of ${all}, and they are in the data set.**`] : []),
    ...(unknown > 0 ? [`Whether the people concerned agree is not known for ${unknown} of ${all}.`] : []),
    ...(unlicensed > 0 ? [`No licence is named for ${unlicensed} of ${all}.`] : []),
  ]
  return sentences.length > 0 ? [sentences.join(' '), ''] : []
}

function table(title: string, tallies: readonly Tally[], words: (value: string) => string = (value) => value): string[] {
  if (tallies.length === 0) return []
  const rest = tallies.slice(listed).reduce((sum, { items }) => sum + items, 0)
  return [
    `| ${title} | Pictures |`,
    '|---|---:|',
    ...tallies.slice(0, listed).map(({ value, items }) => `| ${escaped(words(value)) || '*not said*'} | ${items} |`),
    ...(rest > 0 ? [`| *${tallies.length - listed} others* | ${rest} |`] : []),
    '',
  ]
}

/** One known licence of all pictures, in the form that Hugging Face knows it; else "other" or "unknown". */
function licenceId({ licences }: CardFacts): string {
  if (licences.length === 1 && licences[0]!.value === '') return 'unknown'
  const only = licences.length === 1 ? licences[0]!.value.toLowerCase() : ''
  return /^[a-z0-9][a-z0-9.-]*$/.test(only) ? only : 'other'
}

function sizeCategory(items: number): string {
  const steps = [
    [1000, 'n<1K'],
    [10_000, '1K<n<10K'],
    [100_000, '10K<n<100K'],
    [1_000_000, '100K<n<1M'],
  ] as const
  return steps.find(([limit]) => items < limit)?.[1] ?? '1M<n<10M'
}

function range(from: number, to: number): string {
  return from === to ? `${from}` : `${from} to ${to}`
}

/** What people wrote as text of one table cell: no markup, no new row. */
function escaped(text: string): string {
  return text
    .replace(/\s+/g, ' ')
    .trim()
    .replace(/[\\`*_{}[\]<>|#~]/g, '\\$&')
}
