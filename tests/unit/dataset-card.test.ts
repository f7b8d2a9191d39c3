import { expect, test } from 'vitest'
import { datasetCard } from '#main/services/dataset-card.ts'
import type { CardFacts } from '#main/store/dataset-figures.ts'

const facts: CardFacts = {
  items: 3,
  clips: 0,
  frames: 0,
  rejected: 1,
  splits: [{ value: 'train', items: 3 }],
  consents: [
    { value: 'given', items: 2 },
    { value: 'unknown', items: 1 },
  ],
  licences: [{ value: 'CC-BY-4.0', items: 3 }],
  authors: [{ value: 'Ada | <b>Example</b>\n# x', items: 3 }],
  origins: [{ value: '', items: 3 }],
  tags: Array.from({ length: 22 }, (_, i) => ({ value: `t${i}`, items: 22 - i })),
  captioned: 2,
  tagged: 3,
  measured: 2,
  lookedThrough: 2,
  lettered: 1,
  shown: 32,
  repeated: 1,
  duplicates: 2,
  leaks: 1,
  sizes: { minWidth: 64, maxWidth: 640, minHeight: 48, maxHeight: 48 },
}
const summary = {
  items: 4,
  validationItems: 0,
  captioned: 2,
  imageSize: 32,
  totals: { found: 6, used: 3, partial: 1, rejected: 2 },
  snapshot: 'f'.repeat(64),
}

test('a card says what is in a data set, who agreed and what is not known', () => {
  const card = datasetCard('My "cats"', summary, facts)
  for (const line of [
    'pretty_name: "My \\"cats\\""',
    'license: cc-by-4.0',
    '- n<1K',
    '3 pictures, trained on as squares of 32 pixels; 2 pictures with a caption, 3 with tags.',
    'Whether the people concerned agree is not known for 1 of 3 pictures.',
    '| CC-BY-4.0 | 3 |',
    '| *not said* | 3 |',
    '| *2 others* | 3 |',
    'The import found 6 files: 3 are used whole, 1 in part and 2 not. People rejected another 1.',
    'An epoch of training shows 32 pictures, counting those that come more than once, of which there are 1.',
    'Originals are 64 to 640 pixels wide and 48 high.',
    '- 1 of 3 pictures are not measured, so near duplicates among them are not known.',
    '- 2 have a duplicate; 1 have one in another split, so that what is held back was seen while training.',
  ])
    expect(card.split('\n')).toContain(line)
})

test('what people wrote cannot become markup', () => {
  expect(datasetCard('# <x>', summary, facts)).toContain('# \\# \\<x\\>\n')
  expect(datasetCard('x', summary, facts)).toContain('| Ada \\| \\<b\\>Example\\</b\\> \\# x | 3 |')
})

test.each([
  [[{ value: '', items: 3 }], 'unknown'],
  [[{ value: 'MIT', items: 3 }], 'mit'],
  [[{ value: 'Ask: me', items: 3 }], 'other'],
  [
    [
      { value: 'MIT', items: 2 },
      { value: 'CC0-1.0', items: 1 },
    ],
    'other',
  ],
])('the licence of %j is %s', (licences, licence) => {
  expect(datasetCard('x', summary, { ...facts, licences })).toContain(`license: ${licence}\n`)
})

test('a refused consent is the first thing that is said', () => {
  const card = datasetCard('x', summary, {
    ...facts,
    consents: [
      { value: 'refused', items: 2 },
      { value: 'given', items: 1 },
    ],
  })
  expect(card).toContain('## Consent and licences\n\n**Consent was refused for 2 of 3 pictures, and they are in the data set.**')
})

test('the card tells how many pictures look stamped, or that nobody looked', () => {
  expect(datasetCard('Study', summary, facts)).toContain('- 1 of 2 that were looked through have rows of letters, as watermarks have;')
  expect(datasetCard('Study', summary, { ...facts, lookedThrough: 0, lettered: 0 })).toContain('- Nobody looked for watermarks.')
})
