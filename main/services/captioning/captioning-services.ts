import { realpath } from 'node:fs/promises'
import type { CaptionerChoice, CaptionPreview, CaptionRequest } from '#contracts/captioning.ts'
import { StudioError } from '#contracts/errors.ts'
import type { StudioServices } from '#contracts/studio.ts'
import type { CaptionableItem } from '../../store/item-store.ts'
import type { StudioContext } from '../context.ts'
import { checkSource } from '../dataset.ts'
import { applySaid, isWanted } from './caption-rules.ts'
import type { Said } from './captioner.ts'
import { describeItems } from './describe-items.ts'
import { openCaptioner } from './open-captioner.ts'
import { completionsUrl } from './server-address.ts'

type CaptioningServices = Pick<StudioServices, 'captioning.preview' | 'captioning.run' | 'captioning.hasKey' | 'captioning.setKey'>

/** Captions and tags by names, by a user's model or by a user's server. */
export function captioningServices(context: StudioContext): CaptioningServices {
  /** The same request with a folder that is real and may be read, and an address that was agreed to. */
  async function checked({ target, captioner, rules }: CaptionRequest): Promise<CaptionRequest> {
    if (captioner.kind === 'server') completionsUrl(captioner.address, captioner.confirmedHost)
    return { target, captioner: await withRealFolder(context, captioner), rules }
  }

  return {
    'captioning.preview': async ({ items: wantedItems, ...asked }, { signal }): Promise<CaptionPreview> => {
      const { target, captioner: choice, rules } = await checked(asked)
      const project = context.project()
      const captioner = await openCaptioner(choice, project, signal)
      const [items, made] = await Promise.all([project.curation.words(target), project.dataset.journal.made()])
      const madeFor = (id: CaptionableItem['id']) => new Set(made.captions.get(id)?.keys())
      const wanted = items.filter((item) => isWanted(item, captioner.gives, rules, madeFor(item.id)))
      const shown = (wanted.length > 0 ? wanted : items).slice(0, wantedItems)
      const said = new Map<string, Said>()
      const reasons = new Map<string, string>()
      await describeItems(captioner, shown, {
        originalsFolder: project.folder.originals,
        signal,
        onSaid: ({ id }, words) => void said.set(id, words),
        onFailed: ({ id, reason }) => void reasons.set(id, reason),
      })
      return {
        maker: captioner.maker,
        matched: wanted.length,
        examples: shown.map((item) => {
          const { id, source, caption, captions, tags } = item
          const words = said.get(id) ?? null
          const before = { caption, captions, tags }
          if (!words) return { id, source, before, after: before, said: null, kept: false, problem: reasons.get(id) ?? null }
          const { kept, ...after } = applySaid(item, words, rules, madeFor(id))
          return { id, source, before, after, said: words, kept, problem: null }
        }),
      }
    },
    'captioning.run': async (asked) => {
      const request = await checked(asked)
      const { queue, curation } = context.project()
      if ((await curation.words(request.target)).length === 0)
        throw new StudioError(
          'invalid-request',
          'No picture is meant, so there is nothing to describe. Select some, or change the question.',
        )
      return queue.add(titleOf(request.captioner), { kind: 'caption', request })
    },
    'captioning.hasKey': async ({ address }) => (URL.canParse(address) ? (await context.captionKeys.of(address)) !== null : false),
    'captioning.setKey': async ({ address, key }) => {
      await context.captionKeys.set(address, key)
      return null
    },
  }
}

function titleOf(captioner: CaptionerChoice): string {
  switch (captioner.kind) {
    case 'names':
      return captioner.template || 'tags of folders'
    case 'tagger':
    case 'blip':
      return captioner.folder.split(/[\\/]/).findLast((part) => part !== '') ?? captioner.folder
    case 'server':
      return captioner.model
  }
}

async function withRealFolder(context: StudioContext, captioner: CaptionerChoice): Promise<CaptionerChoice> {
  if (captioner.kind !== 'tagger' && captioner.kind !== 'blip') return captioner
  const source = await checkSource(context, { kind: 'folder', path: captioner.folder })
  if (source.kind !== 'folder')
    throw new StudioError('bad-source', `"${captioner.folder}" is not a folder. Choose the folder that holds the model's files.`)
  return { ...captioner, folder: await realpath(source.path) }
}
