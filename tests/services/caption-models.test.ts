import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { captionModel } from '#contracts/captioning.ts'
import { guardModel } from '#engine/captioning/model-guard.ts'
import { chooseTags, readLabels } from '#engine/captioning/tagger.ts'
import { bytePieces, wordPieces } from '#engine/captioning/vocabulary.ts'
import { CaptionerShelf } from '#engine/captioning/captioner-shelf.ts'
import { openModelFolder } from '#main/media/model-folder.ts'
import { openRuntime } from '#native-ops/load.ts'
import { longModel } from '../support/small-models.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { foreignModel, writeCaptioner, writeTagger } from '../support/tiny-captioners.ts'

const runtime = openRuntime({ threads: 1, device: 'cpu' })
const { signal } = new AbortController()
const shelf = (limitMs?: number) => new CaptionerShelf({ modelFolder: openModelFolder }, () => runtime, limitMs)
const tagger = (folder: string, over: object = {}) => captionModel.parse({ kind: 'tagger', folder, ...over })
const blip = (folder: string, over: object = {}) => captionModel.parse({ kind: 'blip', folder, ...over })
/** A picture of one color as the engine gets it. */
const color = (side: number, ...rgb: number[]) => Buffer.from(Array.from({ length: side * side }, () => rgb).flat()).toString('base64')

describe('a tagger', () => {
  test('sees blue first, 0 to 255, and gives the tags above their thresholds, likeliest first', async () => {
    const folder = join(temporaryFolder(), 'tagger')
    writeTagger(folder)
    const models = shelf()
    expect(await models.look(tagger(folder))).toMatchObject({
      width: 16,
      height: 16,
      fit: 'contain',
      hash: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
    })
    // Red 51/255 = 0.2, green 0.6, blue 1.
    const picture = color(16, 51, 153, 255)
    expect(await models.caption(tagger(folder), picture, signal)).toEqual({
      caption: null,
      tags: ['sky (hero)', 'mostly blue', 'green, or so'],
      failed: null,
    })
    expect(
      (await models.caption(tagger(folder, { general: 0.1, character: 1, ratings: true, asCaption: true }), picture, signal)).caption,
    ).toBe('sky (hero), mostly blue, green, or so, mostly red, rating:calm')
    expect((await models.caption(tagger(folder, { general: 0.61, character: 1 }), color(16, 51, 153, 250), signal)).tags).toEqual([
      'mostly blue',
    ])
    models.close()
  })

  test('is another one when a byte of its files is another', async () => {
    const folder = join(temporaryFolder(), 'tagger')
    writeTagger(folder)
    const { hash } = await shelf().look(tagger(folder))
    expect((await shelf().look(tagger(folder))).hash).toBe(hash)
    writeFileSync(join(folder, 'selected_tags.csv'), readFileSync(join(folder, 'selected_tags.csv'), 'utf8').replace('calm', 'cold'))
    expect((await shelf().look(tagger(folder))).hash).not.toBe(hash)
  })

  test('keeps faces made of signs, and names with commas in quotation marks', () => {
    const labels = readLabels('tag_id,name,category,count\r\n1,^_^,0,1\r\n2,long_hair,0,1\r\n3,"a, ""b""",0,1\r\n4,unknown_kind,7,1\r\n')
    expect(chooseTags(labels, new Float32Array([0.9, 0.8, 0.7, 1]), { general: 0.5, character: 0.5, ratings: false })).toEqual([
      '^_^',
      'long hair',
      'a, "b"',
    ])
  })
})

describe('a captioner of two halves', () => {
  test.each([[['vision_model.onnx', 'text_decoder_model.onnx']], [['encoder_model.onnx', 'decoder_model.onnx']]])(
    'named %j says what it sees',
    async (names) => {
      const folder = join(temporaryFolder(), 'blip')
      writeCaptioner(folder, { names })
      const models = shelf()
      expect(await models.look(blip(folder))).toMatchObject({ width: 8, height: 8, fit: 'fill' })
      expect(await models.caption(blip(folder), color(8, 200, 0, 50), signal)).toEqual({ caption: 'a red things.', tags: [], failed: null })
      expect((await models.caption(blip(folder), color(8, 50, 0, 200), signal)).caption).toBe('a blue things.')
      models.close()
    },
  )

  test('may have its graphs in the folder onnx', async () => {
    const folder = join(temporaryFolder(), 'blip')
    writeCaptioner(folder)
    mkdirSync(join(folder, 'onnx'))
    for (const name of ['vision_model.onnx', 'text_decoder_model.onnx']) renameSync(join(folder, name), join(folder, 'onnx', name))
    expect((await shelf().caption(blip(folder), color(8, 200, 0, 50), signal)).caption).toBe('a red things.')
  })

  test('that never ends is ended after so many tokens', async () => {
    const folder = join(temporaryFolder(), 'blip')
    writeCaptioner(folder, { loops: true })
    expect((await shelf().caption(blip(folder, { maxTokens: 7 }), color(8, 200, 0, 50), signal)).caption).toBe('a red things. a red')
  })

  test.each([
    ['config.json', /no "config.json"/],
    ['vocab.txt', /no "vocab.txt"/],
    ['vision_model.onnx', /no "vision_model.onnx" and no "encoder_model.onnx": the half that looks/],
    ['text_decoder_model.onnx', /the half that writes/],
  ])('without its %s is refused with what is missing', async (name, sentence) => {
    const folder = join(temporaryFolder(), 'blip')
    writeCaptioner(folder)
    rmSync(join(folder, name))
    await expect(shelf().look(blip(folder))).rejects.toThrow(sentence)
  })

  test('whose decoder wants past keys is refused with the file to export instead', async () => {
    const folder = join(temporaryFolder(), 'blip')
    writeCaptioner(folder)
    const inputs = [
      { name: 'input_ids', type: 'f32' as const, shape: [1, 1, 9] },
      { name: 'past_key_values.0.key', type: 'f32' as const, shape: [1, 1, 9] },
    ]
    const nodes = [{ op: 'Add', inputs: inputs.map(({ name }) => name), outputs: ['logits'] }]
    writeFileSync(
      join(folder, 'text_decoder_model.onnx'),
      foreignModel(nodes, { inputs, outputs: [{ name: 'logits', type: 'f32', shape: [1, 1, 9] }] }),
    )
    await expect(shelf().look(blip(folder))).rejects.toThrow(/past_key_values.0.key.*without a cache/)
  })

  test('speaks in word pieces or in pieces of bytes', () => {
    const pieces = new Map(['[SEP]', 'play', '##ing', 'cat', ',', "'", 's'].map((piece, id) => [id, piece]))
    expect(wordPieces(pieces, new Set()).decode([3, 5, 6, 1, 2, 4, 3, 0])).toBe("cat's playing, cat")
    expect(bytePieces(new Map([[0, 'a'], [1, 'ĠcafÃ©'], [2, '<|end|>']]), new Set([2])).decode([0, 1, 2])).toBe('a café') // prettier-ignore
  })
})

describe('a model from a stranger', () => {
  const one = { name: 'x', type: 'f32' as const, shape: [1] }
  const graph = (domain: string, externalData = false) =>
    foreignModel([{ op: 'Identity', inputs: ['x'], outputs: ['y'], domain }], {
      inputs: [one],
      outputs: [{ ...one, name: 'y' }],
      constants: [{ ...one, name: 'w', data: new Float32Array([1]) }],
      externalData,
    })

  test('with weights in other files is refused before anything is read', () => {
    expect(() => guardModel(graph('', true), 'model.onnx')).toThrow(/keeps its weights in other files/)
    expect(() => guardModel(graph(''), 'model.onnx')).not.toThrow()
  })
  test('with operators of its own is refused, those of this studio included', () => {
    expect(() => guardModel(graph('com.example'), 'model.onnx')).toThrow(/operators of "com.example"/)
    expect(() => guardModel(graph('zigma'), 'model.onnx')).toThrow(/operators of "zigma"/)
    expect(() => guardModel(graph('com.microsoft'), 'model.onnx')).not.toThrow()
  })
  test('cut off anywhere, or of other bytes, is told as damaged and nothing else is thrown', () => {
    const good = graph('')
    for (let length = 0; length < good.length; length++) {
      try {
        guardModel(good.subarray(0, length), 'model.onnx')
      } catch (error) {
        expect(error).toMatchObject({ name: 'StudioError' })
      }
    }
    for (let seed = 1; seed < 500; seed++) {
      const bytes = Uint8Array.from({ length: 200 }, (_, i) => (seed * 7919 * (i + 1) * 48271) % 251)
      expect(() => guardModel(bytes, 'model.onnx')).toThrow(expect.objectContaining({ name: 'StudioError' }) as Error)
    }
  })
  test('behind a link, with a second name or too large is not opened', async () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'secret'), 'secret')
    const model = join(folder, 'model')
    mkdirSync(model)
    symlinkSync(join(folder, 'secret'), join(model, 'model.onnx'))
    await expect(openModelFolder(model).read('model.onnx', 100)).rejects.toMatchObject({ code: 'unsafe-file' })
    linkSync(join(folder, 'secret'), join(model, 'vocab.txt'))
    await expect(openModelFolder(model).read('vocab.txt', 100)).rejects.toMatchObject({ code: 'unsafe-file' })
    writeFileSync(join(model, 'config.json'), 'x'.repeat(101))
    await expect(openModelFolder(model).read('config.json', 100)).rejects.toThrow(/101 bytes, more than the 100/)
    expect(await openModelFolder(model).read('nothing.json', 100)).toBeNull()
  })
  test('that is no model, or another than it should be, is told in a sentence', async () => {
    const folder = join(temporaryFolder(), 'tagger')
    writeTagger(folder)
    writeFileSync(join(folder, 'model.onnx'), 'not a model')
    await expect(shelf().look(tagger(folder))).rejects.toMatchObject({ code: 'corrupt-file' })
    writeFileSync(join(folder, 'model.onnx'), longModel(8, 1))
    await expect(shelf().look(tagger(folder))).rejects.toThrow(/not a tagger of this kind/)
    writeTagger(folder)
    writeFileSync(join(folder, 'selected_tags.csv'), 'tag_id,name,category,count\n1,only,0,1\n')
    await expect(shelf().look(tagger(folder))).rejects.toThrow(/6 probabilities .* names 1 tags/)
  })
  test('that takes too long for a picture fails for that picture', async () => {
    const folder = join(temporaryFolder(), 'blip')
    writeCaptioner(folder, { loops: true })
    const reply = await shelf(1).caption(blip(folder, { maxTokens: 200 }), color(8, 200, 0, 50), signal)
    expect(reply).toMatchObject({ caption: null, failed: expect.stringContaining('took longer') as string })
  })
})
