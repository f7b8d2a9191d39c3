import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import type { CaptionerChoice } from '#contracts/captioning.ts'
import { StudioError } from '#contracts/errors.ts'
import { pictureForServer } from '../../media/picture-for-model.ts'
import { sha256 } from '../../store/safe-fs.ts'
import { CaptionError, decoded, type Captioner } from './captioner.ts'
import { completionsUrl } from './server-address.ts'

type Settings = Extract<CaptionerChoice, { kind: 'server' }>

const answerLimitBytes = 1024 * 1024
const tries = 3
const firstWaitMs = 500

const answer = z.object({
  choices: z.array(z.object({ message: z.object({ content: z.string().nullable() }) })).min(1),
})

/** Why one try gave nothing, and whether another may. */
class Refusal extends Error {
  readonly again: boolean
  constructor(sentence: string, again: boolean, cause?: unknown) {
    super(sentence, { cause })
    this.again = again
  }
}

/** An answer as a caption: one line without a thinking part, an announcement or quotation marks, cut at a word. */
export function tidyAnswer(text: string, maxLength: number): string {
  const line = text
    .replace(/<think>[\s\S]*?(<\/think>|$)/gi, ' ')
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim()
    .replace(/^(caption|description|描述|说明)\s*[:：]\s*/i, '')
    .replace(/^(["'“”‘’「『])(.*)(["'“”‘’」』])$/u, '$2')
    .trim()
  if (line.length <= maxLength) return line
  const cut = line
    .slice(0, maxLength)
    .toWellFormed()
    .replace(/\ufffd$/, '')
  const space = cut.lastIndexOf(' ')
  return (space > maxLength / 2 ? cut.slice(0, space) : cut).replace(/[\s,;:]+$/, '')
}

/**
 * Captions from a server that speaks OpenAI's chat completions. Pictures go there as JPEGs of at most 1024 pixels, without their metadata.
 *
 * @param key sent as a bearer token where the server asks for one
 * @throws StudioError invalid-request when the address is not near and nobody agreed.
 */
export function serverCaptioner(settings: Settings, key: string | null, { waitMs = firstWaitMs } = {}): Captioner {
  const url = completionsUrl(settings.address, settings.confirmedHost)
  const { model, prompt, timeoutSeconds, maxLength, concurrency } = settings

  async function ask(picture: Uint8Array, signal: AbortSignal): Promise<string> {
    const limit = AbortSignal.timeout(timeoutSeconds * 1000)
    try {
      const response = await fetch(url, {
        method: 'POST',
        redirect: 'manual',
        signal: AbortSignal.any([signal, limit]),
        headers: { 'content-type': 'application/json', accept: 'application/json', ...(key ? { authorization: `Bearer ${key}` } : {}) },
        body: JSON.stringify({
          model,
          messages: [
            {
              role: 'user',
              content: [
                { type: 'text', text: prompt },
                { type: 'image_url', image_url: { url: `data:image/jpeg;base64,${Buffer.from(picture).toString('base64')}` } },
              ],
            },
          ],
          max_tokens: Math.max(64, Math.ceil(maxLength / 2)),
          temperature: 0,
          stream: false,
        }),
      })
      return await readAnswer(response)
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof Refusal || error instanceof StudioError) throw error
      if (limit.aborted) throw new Refusal(`The server did not answer within ${timeoutSeconds} seconds.`, false, error)
      throw new Refusal(`The server cannot be reached (${reasonOf(error)}).`, true, error)
    }
  }

  async function readAnswer(response: Response): Promise<string> {
    if (response.status >= 300 && response.status < 400) {
      await response.body?.cancel()
      throw new StudioError(
        'bad-source',
        `The server at ${url.host} sends pictures on to another address, which is never followed. Enter the address that it really has.`,
      )
    }
    const text = await readBounded(response)
    if (response.status === 401 || response.status === 403)
      throw new StudioError('bad-source', `The server at ${url.host} asks for a key, or refuses the one it got (${response.status}).`)
    if (response.status === 404)
      throw new StudioError(
        'bad-source',
        `The server at ${url.host} does not know ${url.pathname} or the model "${model}" (404). Check the address and the model's name.`,
      )
    if (!response.ok) {
      const again = response.status === 429 || response.status >= 500
      throw new Refusal(`The server answered with an error (${response.status}).`, again)
    }
    const parsed = answer.safeParse(asJson(text))
    if (!parsed.success) throw new Refusal('The answer is not what a chat server sends. Is this the address of another program?', false)
    const caption = tidyAnswer(parsed.data.choices[0]!.message.content ?? '', maxLength)
    if (caption === '') throw new Refusal('The model said nothing of this picture.', false)
    return caption
  }

  return {
    maker: { kind: 'server', name: `${model} at ${url.host}`, hash: sha256(JSON.stringify([url.href, model, prompt, maxLength])) },
    looks: true,
    gives: { caption: true, tags: false },
    atOnce: concurrency,
    describe: async (_source, bytes, signal) => {
      const picture = await decoded(() => pictureForServer(bytes!))
      for (let attempt = 1; ; attempt++) {
        try {
          return { caption: await ask(picture, signal), tags: [] }
        } catch (error) {
          if (!(error instanceof Refusal)) throw error
          if (!error.again || attempt === tries) throw new CaptionError(error.message, { cause: error })
          await sleep(waitMs * 2 ** (attempt - 1), undefined, { signal })
        }
      }
    },
  }
}

/** A body as text, and no more of it than a caption can need. */
async function readBounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  if (response.body === null) return ''
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    size += chunk.length
    if (size > answerLimitBytes) throw new Refusal(`The answer is larger than ${answerLimitBytes / 1024 / 1024} MiB.`, false)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function asJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return null // told as an answer of the wrong form
  }
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error
  return cause instanceof Error ? ('code' in cause && typeof cause.code === 'string' ? cause.code : cause.message) : String(cause)
}
