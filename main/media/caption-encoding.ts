import { captionEncoding, type CaptionEncoding, type EncodingPreview } from '#contracts/ledger.ts'
import { captionEndings, decodeText, tidy } from './sources/caption.ts'
import { splitEnding } from './sources/file-tree.ts'
import type { OpenRoot } from './originals.ts'

const longestBytes = 1024 * 1024

/** The caption files beside a picture that are not UTF-8; usually one. */
async function brokenCaptions(root: OpenRoot, source: string): Promise<Uint8Array[]> {
  const [stem] = splitEnding(source)
  const broken: Uint8Array[] = []
  for (const ending of captionEndings.filter((one) => one !== '.json')) {
    const bytes = await root.read(`${stem}${ending}`)
    if (bytes && bytes.length <= longestBytes && decodeText(bytes) === null) broken.push(bytes)
  }
  return broken
}

/** What the caption files beside a picture say in an encoding; null where there is none, or one of them is no text in it. */
export async function captionIn(root: OpenRoot, source: string, encoding: CaptionEncoding): Promise<string | null> {
  return decode(await brokenCaptions(root, source), encoding)
}

/** The same in every encoding, those first in which the text looks most like words. */
export async function captionsIn(root: OpenRoot, source: string): Promise<EncodingPreview[]> {
  const files = await brokenCaptions(root, source)
  return captionEncoding.options
    .map((encoding) => ({ encoding, caption: decode(files, encoding) }))
    .map((preview) => ({ ...preview, rank: preview.caption === null ? -1 : likeness(preview.caption) }))
    .sort((a, b) => b.rank - a.rank)
    .map(({ rank: _rank, ...preview }) => preview)
}

function decode(files: readonly Uint8Array[], encoding: CaptionEncoding): string | null {
  if (files.length === 0) return null
  try {
    const texts = files.map((bytes) => new TextDecoder(encoding, { fatal: true }).decode(bytes))
    const caption = tidy(texts.join(' '))
    return caption === '' || texts.some((text) => text.includes('\0')) ? null : caption
  } catch {
    return null
  }
}

const usual = /[\p{Script=Latin}\p{Script=Cyrillic}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\u4e00-\u9fff\p{N}\s,.;:'"!?()-]/u
const unusual = /[\u0100-\u024f\u0400-\u040f\u0450-\u052f\uff61-\uff9f\ue000-\uf8ff]/u

/**
 * How much a text looks like words, at most 1: a wrong encoding gives signs, rare letters, capitals behind small letters and two scripts in a word.
 * Only an order is made of it; people see the text before anything is taken.
 */
function likeness(text: string): number {
  const letters = [...text]
  const joins =
    text.match(/\p{Ll}\p{Lu}|\p{Script=Latin}[^\p{Script=Latin}\p{P}\p{N}\s]|[^\p{Script=Latin}\p{P}\p{N}\s]\p{Script=Latin}/gu)?.length ??
    0
  const odd = letters.filter((letter) => unusual.test(letter) || !usual.test(letter)).length
  return 1 - (odd + joins) / letters.length
}
