import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { captionerChoice } from '#contracts/captioning.ts'
import { describeName, fillTemplate, spokenWords } from '#main/services/captioning/name-captioner.ts'

const described = (source: string, over: object = {}) =>
  describeName(source, { template: '{concept}, {name}, {folder}', folderTags: true, ...over })

describe('the words of a name', () => {
  test.each([
    ['red-apple_02', 'red apple'],
    ['IMG_1234', ''],
    ['DSC01234', ''],
    ['PXL_20231104_143022123', ''],
    ['P1010023', ''],
    ['Screenshot 2024-01-02 at 10.11.12', 'at'],
    ['IMG_1234 sunset over the bay', 'sunset over the bay'],
    ['picture frame on a wall', 'picture frame on a wall'],
    ['RedApple', 'Red Apple'],
    ["the cat's whiskers (copy)", "the cat's whiskers"],
    ['3f2504e0-4f89-11d3-9a0c-0305e82c3301', ''],
    ['d41d8cd98f00b204e9800998ecf8427e', ''],
    ['facade', 'facade'],
    ['harbor 1920x1080 v2', 'harbor'],
    ['红苹果_02', '红苹果'],
    ['小猫12', '小猫'],
    ['夕阳（海边）　第三张', '夕阳 海边 第三张'],
    ['图片_1234', ''],
    ['café–crème', 'café crème'],
  ])('%s are "%s"', (name, words) => expect(spokenWords(name)).toBe(words))

  test('of any name hold no signs, no doubled spaces and nothing but what was there', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (name) => {
        const words = spokenWords(name)
        expect(words).not.toMatch(/\s{2}|^\s|\s$|[\p{Cc},{}[\]]/u)
      }),
      { seed: 7 },
    )
  })
})

describe('a caption from a path', () => {
  test('has concept, name and folder, each once, and the folders as tags', () => {
    expect(described('30_red cat/garden/IMG_0001 asleep.jpg')).toEqual({ caption: 'red cat, asleep, garden', tags: ['red cat', 'garden'] })
  })
  test('leaves out what is empty, with its comma', () => {
    expect(described('holiday/IMG_1.jpg')).toEqual({ caption: 'holiday', tags: ['holiday'] })
    expect(described('IMG_1.jpg')).toEqual({ caption: '', tags: [] })
  })
  test('leaves out folders that say nothing and archives', () => {
    expect(described('train/00000.tar/beach/000012.jpg')).toEqual({ caption: 'beach', tags: ['beach'] })
    expect(described('图片/海边/小猫.png')).toEqual({ caption: '小猫, 海边', tags: ['海边'] })
  })
  test('follows the template, and gives no tags where none are wanted', () => {
    expect(described('a/b/red-apple.png', { template: 'a photo of {name}', folderTags: false })).toEqual({
      caption: 'a photo of red apple',
      tags: [],
    })
  })
  test('does not say the same twice', () => {
    expect(fillTemplate('{name}, {folder}', { name: 'Cat', folder: 'cat' })).toBe('Cat')
  })
  test('is not made from a template with an unknown slot', () => {
    expect(captionerChoice.safeParse({ kind: 'names', template: '{name}, {camera}' }).success).toBe(false)
    expect(captionerChoice.safeParse({ kind: 'names', template: '{name}' }).success).toBe(true)
  })
})
