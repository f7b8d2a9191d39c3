import { basename } from 'node:path'
import type { CaptionFailure } from '#contracts/captioning.ts'
import { StudioError } from '#contracts/errors.ts'
import type { ItemId } from '#contracts/project.ts'
import { readOriginals } from '../../media/originals.ts'
import type { CaptionableItem } from '../../store/item-store.ts'
import { CaptionError, type Captioner, type Said } from './captioner.ts'

/** After so many refusals with nothing between, all others would be refused too. */
const refusalsInARow = 10

export interface DescribeOptions {
  originalsFolder: string
  signal: AbortSignal
  onSaid: (item: CaptionableItem, said: Said) => Promise<void> | void
  onFailed: (failure: CaptionFailure) => void
  /** Before an item is begun. */
  onBegin?: (item: CaptionableItem) => void
}

/**
 * Lets a captioner describe items, as many at once as it says. A picture that cannot be described is told and left out.
 *
 * @throws StudioError when the captioner describes none at all any more.
 */
export async function describeItems(
  captioner: Captioner,
  items: readonly CaptionableItem[],
  { originalsFolder, signal, onSaid, onFailed, onBegin }: DescribeOptions,
): Promise<void> {
  const ended = new AbortController()
  const either = AbortSignal.any([signal, ended.signal])
  const running = new Set<Promise<void>>()
  let inARow = 0

  const describe = async (item: CaptionableItem, bytes: Uint8Array | null) => {
    try {
      await onSaid(item, await captioner.describe(pathOf(item), bytes, either))
      inARow = 0
    } catch (error) {
      if (!(error instanceof CaptionError)) throw error
      onFailed(failureOf(item, error.message))
      if (++inARow < refusalsInARow) return
      throw new StudioError(
        'bad-source',
        `${refusalsInARow} pictures in a row could not be described, so it was ended. The last time: ${error.message}`,
        { cause: error },
      )
    }
  }
  try {
    for await (const [item, bytes] of filesOf(captioner, items, originalsFolder)) {
      either.throwIfAborted()
      onBegin?.(item)
      if (captioner.looks && bytes === null) {
        onFailed(failureOf(item, 'Its file is gone or another than was imported. Bring it back, or import it again.'))
        continue
      }
      const work: Promise<void> = describe(item, bytes)
        .catch((error: unknown) => ended.abort(error))
        .finally(() => running.delete(work))
      running.add(work)
      if (running.size >= captioner.atOnce) await Promise.race(running)
    }
  } finally {
    await Promise.all(running)
  }
  either.throwIfAborted()
}

async function* filesOf(
  { looks }: Captioner,
  items: readonly CaptionableItem[],
  originalsFolder: string,
): AsyncGenerator<[CaptionableItem, Uint8Array | null]> {
  if (!looks) for (const item of items) yield [item, null]
  else for (const [root, wanted] of Map.groupBy(items, (item) => item.root)) yield* readOriginals(root, wanted, originalsFolder)
}

/** The path that tells most: with the name of the folder that was imported. */
function pathOf({ root, source }: CaptionableItem): string {
  const folder = root === 'sample' ? '' : basename(root)
  return folder === '' ? source : `${folder}/${source}`
}

function failureOf({ id, source }: { id: ItemId; source: string }, reason: string): CaptionFailure {
  return { id, source, reason }
}
