import { parse } from 'smol-toml'
import { PictureError } from '../picture.ts'
import { decodeText } from './caption.ts'
import type { RefusedItem } from './source-item.ts'

/** A folder that a TOML file names, with what is to be done with its pictures. */
export interface TomlFolder {
  /** As it stands in the file. */
  path: string
  repeats: number
  /** The caption of pictures that have none. */
  concept: string | null
  prefix: string
  suffix: string
  captionEnding: string | null
}

export interface TomlList {
  maker: 'kohya' | 'diffusion-pipe'
  folders: readonly TomlFolder[]
  /** Settings that the studio does not have, told one by one. */
  told: readonly RefusedItem[]
}

type Table = Readonly<Record<string, unknown>>

const repeatsLimit = 10_000
const toldLimit = 200

/**
 * The folders of a dataset file of kohya ([general], [[datasets]], [[datasets.subsets]]) or of diffusion-pipe ([[directory]]).
 *
 * @throws PictureError metadata-broken when it is neither.
 */
export function readToml(bytes: Uint8Array): TomlList {
  const text = decodeText(bytes)
  if (text === null) throw broken('is not UTF-8 text. Save it as UTF-8')
  let file: Table
  try {
    file = parse(text)
  } catch (error) {
    throw broken(`is not TOML (${(error as Error).message.split('\n')[0]!.slice(0, 100)}). Correct it`)
  }
  const list = new Reading()
  if (Array.isArray(file.datasets)) readKohya(file, list)
  else if (Array.isArray(file.directory)) readPipe(file, list)
  else
    throw broken(
      'names no folders. A file of kohya has [[datasets.subsets]] with "image_dir", one of diffusion-pipe [[directory]] with "path"',
    )
  return { maker: Array.isArray(file.datasets) ? 'kohya' : 'diffusion-pipe', folders: list.folders, told: list.told }
}

function readKohya(file: Table, list: Reading): void {
  const general = tableOf(file.general)
  list.tellOthers(file, ['general', 'datasets'], '')
  list.tellOthers(general, kohyaUsed, 'general.')
  for (const [d, dataset] of tables(file.datasets).entries()) {
    const at = `datasets[${d}]`
    list.tellOthers(dataset, [...kohyaUsed, 'subsets'], `${at}.`)
    for (const [s, subset] of tables(dataset.subsets).entries()) {
      const here = `${at}.subsets[${s}]`
      const all = { ...general, ...dataset, ...subset }
      list.tellOthers(subset, [...kohyaUsed, 'image_dir', 'is_reg'], `${here}.`)
      if (subset.is_reg === true) list.tell(here, 'Pictures for regularization (is_reg) are not used; the studio trains without them.')
      else list.addFolder(here, all, 'image_dir')
    }
  }
}

const kohyaUsed = ['num_repeats', 'class_tokens', 'caption_prefix', 'caption_suffix', 'caption_extension']

function readPipe(file: Table, list: Reading): void {
  list.tellOthers(file, ['directory', 'num_repeats', 'caption_prefix'], '')
  for (const [d, directory] of tables(file.directory).entries()) {
    const here = `directory[${d}]`
    list.tellOthers(directory, ['path', 'num_repeats', 'caption_prefix'], `${here}.`)
    list.addFolder(here, { num_repeats: file.num_repeats, caption_prefix: file.caption_prefix, ...directory }, 'path')
  }
}

class Reading {
  readonly folders: TomlFolder[] = []
  readonly told: RefusedItem[] = []

  tell(where: string, detail: string, reason: 'not-used' | 'metadata-broken' = 'not-used'): void {
    if (this.told.length < toldLimit) this.told.push({ source: `(${where})`, refused: { reason, detail } })
  }

  /** What of a table the studio does not use. */
  tellOthers(table: Table, used: readonly string[], prefix: string): void {
    for (const [key, value] of Object.entries(table)) {
      if (!used.includes(key))
        this.tell(`${prefix}${short(key)}`, `The setting "${short(key)}" (${shown(value)}) is not used: ${reasonFor(key)}.`)
    }
  }

  addFolder(where: string, table: Table, key: 'image_dir' | 'path'): void {
    const path = table[key]
    if (typeof path !== 'string' || path === '') return this.tell(where, `It names no folder in "${key}".`, 'metadata-broken')
    const repeats = table.num_repeats ?? 1
    const isGood = typeof repeats === 'number' && Number.isInteger(repeats) && repeats >= 1 && repeats <= repeatsLimit
    if (!isGood)
      this.tell(`${where}.num_repeats`, `"num_repeats" is ${shown(repeats)}; it must be 1 to 10,000. 1 is used.`, 'metadata-broken')
    const text = (name: string) => (typeof table[name] === 'string' ? table[name] : '')
    this.folders.push({
      path,
      repeats: isGood ? repeats : 1,
      concept: text('class_tokens') || null,
      prefix: text('caption_prefix'),
      suffix: text('caption_suffix'),
      captionEnding: text('caption_extension') || null,
    })
  }
}

/** Why a setting is left out, where that can be said better than in general. */
function reasonFor(key: string): string {
  if (/bucket|reso|^(min|max)_ar$/.test(key)) return 'sizes and buckets are chosen in the studio'
  if (/batch/.test(key)) return 'it belongs to the recipe of a run'
  if (/flip|color_aug|random_crop|face_crop|dropout|shuffle|keep_tokens|wildcard/.test(key))
    return 'the studio shows pictures and captions as they are'
  if (/mask|conditioning|control/.test(key)) return 'masks and second pictures are not read'
  if (/frame|video|clip/.test(key)) return 'clips have their own import'
  return 'the studio has no such setting'
}

function shown(value: unknown): string {
  const text = typeof value === 'bigint' ? String(value) : (JSON.stringify(value) ?? String(value))
  return short(text)
}

function short(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}

function tables(value: unknown): Table[] {
  return Array.isArray(value) ? value.map(tableOf) : []
}

function tableOf(value: unknown): Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Table) : {}
}

function broken(what: string): PictureError {
  return new PictureError('metadata-broken', `The TOML file ${what}.`)
}
