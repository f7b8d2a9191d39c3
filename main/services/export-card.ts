import { kindIn, type ExportPlan, type ExportTotals, type LeftOutReason } from '#contracts/export.ts'

const leftOutWords: Record<LeftOutReason, string> = {
  rejected: 'rejected by people',
  clip: 'they are clips of videos',
  picture: 'they are pictures, and this layout holds clips',
  'original-away': 'their originals could not be reached',
  'format-not-read': 'readers of this layout do not open their format',
  damaged: 'their training pixels or their latents are damaged',
}

const content = {
  training: 'exactly the pixels that the studio trains on, as PNG',
  originals: 'the imported files as they were, byte for byte',
  clip: 'exactly the frames that the studio keeps of them, without loss',
} as const

/** The README of an export: the card of what is in it, and how it is read. Nothing in it depends on the time. */
export function exportCard(
  card: string,
  { layout, pixels, splits }: ExportPlan,
  { items, leftOut }: ExportTotals,
  usage: readonly string[],
): string {
  const kind = kindIn(layout)
  const lines = [
    ...['## This export', ''],
    `${items} ${kind}${items === 1 ? '' : 's'}, ${content[kind === 'clip' ? kind : pixels]}; ${splits === 'folders' ? 'splits lie apart from each other' : 'splits are not told apart'}.`,
    '',
    ...usage.map((sentence) => `- ${sentence}`),
    '',
    ...(leftOut.length > 0
      ? [
          'Left out were:',
          '',
          ...leftOut.map(
            ({ reason, items: count }) => `- ${count}: ${leftOutWords[reason]}${reason === 'rejected' ? '' : ', see `left-out.jsonl`'}`,
          ),
          '',
        ]
      : []),
  ]
  return `${card}\n${lines.join('\n')}`
}
