import sharp from 'sharp'
import { z } from 'zod'
import { generationRequest, type GenerationRequest } from '#contracts/gallery.ts'
import { addPngText, readPngText } from './png-text.ts'
import { encodeSmallPng, smallPngBytes } from './small-png.ts'

/** What a picture knows about itself, in its file and beside it: enough to draw it again and to rebuild the gallery. */
export const pictureRecord = z.object({
  schema: z.literal(1),
  id: z.string(),
  jobId: z.string().nullable(),
  index: z.number().int(),
  createdAt: z.iso.datetime(),
  width: z.number().int(),
  height: z.number().int(),
  settings: generationRequest,
  modelName: z.string(),
  checkpointHash: z.string(),
})
export type PictureRecord = z.infer<typeof pictureRecord>

/** Our own entry among a PNG's texts. */
const ownKeyword = 'zigma'

export async function encodePng(rgb: Uint8Array, width: number, height: number): Promise<Uint8Array> {
  if (rgb.length <= smallPngBytes) return encodeSmallPng(rgb, width, height)
  return new Uint8Array(
    await sharp(rgb, { raw: { width, height, channels: 3 } })
      .png({ compressionLevel: 6 })
      .toBuffer(),
  )
}

/** A PNG that carries its settings twice: as `parameters`, which other studios read, and as our own complete record. */
export async function encodePicture(rgb: Uint8Array, record: PictureRecord): Promise<Uint8Array> {
  return addPngText(await encodePng(rgb, record.width, record.height), {
    parameters: parametersText(record),
    [ownKeyword]: JSON.stringify(record),
  })
}

/** The record of a picture that this studio drew; null for any other. */
export function readPictureRecord(png: Uint8Array): PictureRecord | null {
  const text = readPngText(png)[ownKeyword]
  if (text === undefined) return null
  try {
    return pictureRecord.parse(JSON.parse(text))
  } catch {
    return null // somebody else's entry of that name
  }
}

const samplerNames: Record<GenerationRequest['sampler'], string> = { euler: 'Euler', heun: 'Heun' }

/** The form that A1111 writes and many programs read. */
function parametersText({ settings, width, height, checkpointHash, modelName }: PictureRecord): string {
  const { prompt, negativePrompt, steps, sampler, cfgScale, seed } = settings
  const values = {
    Steps: steps,
    Sampler: samplerNames[sampler],
    'CFG scale': cfgScale,
    Seed: seed,
    Size: `${width}x${height}`,
    'Model hash': checkpointHash.slice(0, 10),
    Model: modelName.replaceAll(',', ' '),
  }
  const last = Object.entries(values).map(([name, value]) => `${name}: ${value}`)
  return [prompt, ...(negativePrompt ? [`Negative prompt: ${negativePrompt}`] : []), last.join(', ')].join('\n')
}
