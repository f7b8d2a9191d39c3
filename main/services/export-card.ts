import type { ExportPlan, ExportTotals, LeftOutReason } from '#contracts/export.ts'

const leftOutWords: Record<LeftOutReason, string> = {
  rejected: 'rejected by people',
  clip: 'they are clips of videos',
  'original-away': 'their originals could not be reached',
  'format-not-read': 'readers of this layout do not open their format',
  damaged: 'their training pixels or their latents are damaged',
}

/** The README of an export: the card of what is in it, and how it is read. Nothing in it depends on the time. */
export function exportCard(
  card: string,
  { pixels, splits }: ExportPlan,
  { items, leftOut }: ExportTotals,
  usage: readonly string[],
): string {
  const lines = [
    ...['## This export', ''],
    `${items} ${items === 1 ? 'picture' : 'pictures'}, ${pixels === 'training' ? 'exactly the pixels that the studio trains on, as PNG' : 'the imported files as they were, byte for byte'}; ${splits === 'folders' ? 'splits lie apart from each other' : 'splits are not told apart'}.`,
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
