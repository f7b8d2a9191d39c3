import { readFile, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { StudioError } from '#contracts/errors.ts'
import { modelLimitBytes, type AutoencoderSettings, type AutoencoderSource } from '../store/autoencoder-shelf.ts'
import { isCode } from '../store/safe-fs.ts'

/** The layouts that exporters write, in the order in which they are looked for. */
const layouts = [
  ['encoder.onnx', 'decoder.onnx'],
  ['vae_encoder/model.onnx', 'vae_decoder/model.onnx'],
  ['vae_encoder.onnx', 'vae_decoder.onnx'],
  ['onnx/vae_encoder.onnx', 'onnx/vae_decoder.onnx'],
] as const
const configs = ['config.json', 'vae_encoder/config.json', 'vae_decoder/config.json', 'vae/config.json']
const configLimitBytes = 1024 ** 2

/** What diffusers says of an autoencoder, as far as it is needed. */
const config = z.object({
  _class_name: z.string().optional(),
  scaling_factor: z.number().positive().nullish(),
  shift_factor: z.number().nullish(),
  latent_channels: z.number().int().min(1).max(256).nullish(),
  block_out_channels: z.array(z.number()).max(7).nullish(),
})

/** Of the autoencoders of Stable Diffusion, whose early configurations leave it out. */
const usualScale = 0.18215

/**
 * Finds the two models and the configuration of an autoencoder in a folder, without reading the models. Links are followed where they lead
 * to what may be read.
 *
 * @throws StudioError bad-source when there is no autoencoder, unsafe-file when a file breaks the limits.
 */
export async function findAutoencoder(folder: string, mayRead: (path: string) => boolean): Promise<AutoencoderSource> {
  for (const [encoder, decoder] of layouts) {
    const [first, second] = await Promise.all([
      fileAt(folder, encoder, modelLimitBytes, mayRead),
      fileAt(folder, decoder, modelLimitBytes, mayRead),
    ])
    if (first && second) return { encoder: first, decoder: second, settings: await readSettings(folder, mayRead) }
  }
  throw new StudioError(
    'bad-source',
    `There is no autoencoder in "${folder}": it holds neither ${layouts[0].join(' and ')} nor ${layouts[1].join(' and ')}. Choose a folder that does.`,
  )
}

async function fileAt(folder: string, name: string, limitBytes: number, mayRead: (path: string) => boolean): Promise<string | null> {
  const path = await realpath(join(folder, name)).catch((error: unknown) => {
    if (isCode(error, 'ENOENT') || isCode(error, 'ENOTDIR')) return null
    throw new StudioError('bad-source', `"${name}" in "${folder}" cannot be read. Check that you may open it.`, { cause: error })
  })
  if (path === null) return null
  if (!mayRead(path))
    throw new StudioError('unsafe-file', `"${name}" is a link to "${path}", where the studio may not read. Put the file itself there.`)
  const info = await stat(path)
  if (!info.isFile()) throw new StudioError('unsafe-file', `"${name}" is not a file. Choose another folder.`)
  if (info.size > limitBytes)
    throw new StudioError('unsafe-file', `"${name}" has ${info.size} bytes; at most ${limitBytes} are read. Choose a smaller autoencoder.`)
  return path
}

async function readSettings(folder: string, mayRead: (path: string) => boolean): Promise<AutoencoderSettings> {
  for (const name of configs) {
    const path = await fileAt(folder, name, configLimitBytes, mayRead)
    if (!path) continue
    const parsed = config.safeParse(safeJson(await readFile(path, 'utf8')))
    if (!parsed.success)
      throw new StudioError(
        'corrupt-file',
        `"${name}" is not the configuration of an autoencoder (${parsed.error.issues[0]?.message ?? 'not JSON'}). Mend it or take it away.`,
      )
    const {
      _class_name: kind,
      scaling_factor: scale,
      shift_factor: shift,
      latent_channels: channels,
      block_out_channels: blocks,
    } = parsed.data
    return {
      scalingFactor: scale ?? (kind === 'AutoencoderKL' ? usualScale : 1),
      shiftFactor: shift ?? 0,
      latentChannels: channels ?? null,
      factor: blocks && blocks.length > 0 ? 2 ** (blocks.length - 1) : null,
    }
  }
  return { scalingFactor: 1, shiftFactor: 0, latentChannels: null, factor: null }
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null // the schema refuses it
  }
}
