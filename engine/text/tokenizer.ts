import type { TokenizerModel } from '#contracts/checkpoint.ts'

const padding = 0
const unknown = 1
const specials = ['<pad>', '<unk>']
/** Marks the last piece of a word, so that "cat" in "cat" and in "category" are different pieces. */
const wordEnd = '\u2581'

/** Words and single signs of a text: lower case, composed Unicode. */
function words(text: string): string[] {
  return (
    text
      .normalize('NFKC')
      .toLowerCase()
      .match(/[\p{L}\p{N}\p{M}]+|[^\s\p{L}\p{N}\p{M}]/gu) ?? []
  )
}

const letters = (word: string): string[] => {
  const parts = [...word]
  parts[parts.length - 1] += wordEnd
  return parts
}

/**
 * Byte-pair encoding over letters, fitted on captions: the most frequent pair of neighboring pieces is joined until the vocabulary is full
 * (Sennrich et al., 2016). Equal counts are broken by the pieces themselves, so equal captions give an equal tokenizer.
 */
export function fitTokenizer(captions: Iterable<string>, vocabularySize: number): TokenizerModel {
  const counts = new Map<string, number>()
  for (const caption of captions) for (const word of words(caption)) counts.set(word, (counts.get(word) ?? 0) + 1)
  let split = [...counts].map(([word, count]) => ({ pieces: letters(word), count }))

  // Every letter in both places, so that a new word can be spelled whatever letter it ends with.
  const seen = new Set([...counts.keys()].flatMap((word) => [...word]))
  const vocabulary = [...specials, ...[...seen].sort().flatMap((letter) => [letter, letter + wordEnd])].slice(0, vocabularySize)
  const known = new Set(vocabulary)
  const merges: [string, string][] = []
  while (vocabulary.length < vocabularySize) {
    const pair = commonestPair(split)
    if (!pair) break
    merges.push(pair)
    const joined = pair.join('')
    if (!known.has(joined)) vocabulary.push(joined)
    known.add(joined)
    split = split.map(({ pieces, count }) => ({ pieces: join(pieces, pair), count }))
  }
  return { kind: 'bpe', vocabulary, merges }
}

function commonestPair(split: readonly { pieces: readonly string[]; count: number }[]): [string, string] | null {
  const pairs = new Map<string, { pair: [string, string]; count: number }>()
  for (const { pieces, count } of split) {
    for (let i = 0; i + 1 < pieces.length; i++) {
      const key = `${pieces[i]}\n${pieces[i + 1]}`
      const seen = pairs.get(key)
      if (seen) seen.count += count
      else pairs.set(key, { pair: [pieces[i]!, pieces[i + 1]!], count })
    }
  }
  let best: { key: string; pair: [string, string]; count: number } | null = null
  for (const [key, { pair, count }] of pairs) {
    if (count >= 2 && (!best || count > best.count || (count === best.count && key < best.key))) best = { key, pair, count }
  }
  return best?.pair ?? null
}

function join(pieces: readonly string[], [left, right]: readonly [string, string]): string[] {
  const out: string[] = []
  for (let i = 0; i < pieces.length; i++) {
    if (pieces[i] === left && pieces[i + 1] === right) {
      out.push(left + right)
      i++
    } else out.push(pieces[i]!)
  }
  return out
}

/** Turns text into ids. */
export class Tokenizer {
  readonly model: TokenizerModel
  readonly #ids: ReadonlyMap<string, number>
  readonly #ranks: ReadonlyMap<string, number>

  constructor(model: TokenizerModel) {
    this.model = model
    this.#ids = new Map(model.vocabulary.map((piece, id) => [piece, id]))
    this.#ranks = new Map(model.merges.map(([left, right], rank) => [`${left}\n${right}`, rank]))
  }

  /** Ids of a text, exactly `length` of them: cut at the end, filled with padding. The empty text is all padding. */
  encode(text: string, length: number): Int32Array {
    const ids = words(text).flatMap((word) => this.#pieces(word).map((piece) => this.#ids.get(piece) ?? unknown))
    return Int32Array.from({ length }, (_, i) => ids[i] ?? padding)
  }

  /** The words of a text that hold a letter the captions never had: the model cannot know what they mean. */
  unknownWords(text: string): string[] {
    return words(text).filter((word) => this.#pieces(word).some((piece) => !this.#ids.has(piece)))
  }

  #pieces(word: string): string[] {
    let pieces = letters(word)
    for (;;) {
      let best = Infinity
      for (let i = 0; i + 1 < pieces.length; i++) best = Math.min(best, this.#ranks.get(`${pieces[i]}\n${pieces[i + 1]}`) ?? Infinity)
      if (best === Infinity) return pieces
      pieces = join(pieces, this.model.merges[best]!)
    }
  }
}
