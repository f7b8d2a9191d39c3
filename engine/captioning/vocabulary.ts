import type { TokenizerFile } from '#contracts/caption-model.ts'
import { StudioError } from '#contracts/errors.ts'

/** Turns the tokens that a captioner gives into text. */
export interface Vocabulary {
  readonly size: number
  decode(ids: readonly number[]): string
}

/** Word pieces of a `vocab.txt`, one a line: "##" goes on with a word. */
export function wordPieces(pieces: ReadonlyMap<number, string>, special: ReadonlySet<number>, prefix = '##'): Vocabulary {
  return {
    size: pieces.size,
    decode: (ids) => {
      const words: string[] = []
      for (const id of ids) {
        const piece = pieces.get(id)
        if (piece === undefined || special.has(id) || /^\[[A-Z0-9]+\]$/.test(piece)) continue
        if (piece.startsWith(prefix) && words.length > 0) words[words.length - 1] += piece.slice(prefix.length)
        else words.push(piece)
      }
      return words
        .join(' ')
        .replace(/ ([.,!?;:%)\]])/g, '$1')
        .replace(/([([]) /g, '$1')
        .replace(/ (['’]) ?(s|t|re|ve|ll|d|m)\b/g, '$1$2')
        .replace(/ - /g, '-')
    },
  }
}

/** Pieces of bytes, each byte written as a printable letter (GPT-2's way). */
export function bytePieces(pieces: ReadonlyMap<number, string>, special: ReadonlySet<number>): Vocabulary {
  const bytes = byteLetters()
  return {
    size: pieces.size,
    decode: (ids) => {
      const all = ids
        .filter((id) => !special.has(id))
        .flatMap((id) => [...(pieces.get(id) ?? '')].map((letter) => bytes.get(letter) ?? 0x20))
      return new TextDecoder().decode(Uint8Array.from(all)).trim()
    },
  }
}

/** @throws StudioError invalid-request for a kind that is not known here */
export function vocabularyOf({ added_tokens: added, model, decoder }: TokenizerFile): Vocabulary {
  const pieces = new Map(Object.entries(model.vocab).map(([piece, id]) => [id, piece]))
  for (const { id, content } of added) pieces.set(id, content)
  const special = new Set(added.filter((one) => one.special).map(({ id }) => id))
  if (model.type === 'WordPiece' || decoder?.type === 'WordPiece') return wordPieces(pieces, special, decoder?.prefix)
  if (decoder?.type === 'ByteLevel') return bytePieces(pieces, special)
  throw new StudioError(
    'invalid-request',
    `"tokenizer.json" is of the kind ${model.type ?? '?'} / ${decoder?.type ?? 'none'}; captioners with WordPiece or byte-level BPE can be used.`,
  )
}

/** Printable Latin letters stand for themselves, all other bytes for letters from 256 on. */
function byteLetters(): Map<string, number> {
  const letters = new Map<string, number>()
  let next = 256
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae
    letters.set(String.fromCharCode(printable ? byte : next++), byte)
  }
  return letters
}
