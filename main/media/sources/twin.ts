import { isNameOnly } from './name-only.ts'
import type { Said } from './source-item.ts'

/** Why a file is not used whose bytes another one has: what its caption and tags say goes with it, and that is told. */
export function twinSentence(
  kind: 'picture' | 'video',
  twin: string,
  { captions, tags }: Pick<Said, 'captions' | 'tags'>,
  source: string,
): string {
  const saysMore = tags.length > 0 || captions.some((caption) => caption !== '' && !isNameOnly({ caption, source }))
  return `The ${kind} is the same as ${twin}, byte for byte.${saysMore ? ' What its own caption and tags say is not used: add it to the other, or remove the other and import again.' : ''}`
}
