import { ref, watch, type Ref } from 'vue'
import type { CurationItem } from '#contracts/curation.ts'
import { StudioError } from '#contracts/errors.ts'
import { mediaUrl } from '#contracts/studio.ts'
import type { OriginalAway } from '#contracts/xray.ts'
import { call } from '../client/studio-client.ts'

/** What a pane shows of an item: its original where that can be had, else the pixels that training uses, with why. */
export interface ShownOriginal {
  /** Of which item; the one of before until the next is known. */
  item: CurationItem
  src: string
  fullSrc: string | null
  width: number
  height: number
  srcSide: number
  away: OriginalAway | null
}

const previewSide = 1024

export function useShownOriginal(item: () => CurationItem, trainingSize: () => number): Ref<ShownOriginal | null> {
  const shown = ref<ShownOriginal | null>(null)
  watch(
    () => [item().id, item().pixels.version] as const,
    async () => {
      const one = item()
      const away = await awayOf(one)
      if (item().id !== one.id) return
      const edge = trainingSize()
      shown.value = away
        ? {
            item: one,
            src: mediaUrl.item(one.id, { version: one.pixels.version }),
            fullSrc: null,
            width: edge,
            height: edge,
            srcSide: edge,
            away,
          }
        : {
            ...{ item: one, src: mediaUrl.original(one.id), fullSrc: mediaUrl.original(one.id, { full: true }) },
            ...{ width: one.width, height: one.height, srcSide: Math.min(previewSide, Math.max(one.width, one.height)), away },
          }
    },
    { immediate: true },
  )
  return shown
}

/** An item that has left the data set meanwhile has no original. */
async function awayOf({ id, clip }: CurationItem): Promise<OriginalAway | null> {
  if (clip) return 'video'
  try {
    return (await call('curation.original', { id })).away
  } catch (error) {
    if (error instanceof StudioError) return 'gone'
    throw error
  }
}
