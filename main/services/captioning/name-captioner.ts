import type { CaptionerChoice } from '#contracts/captioning.ts'
import { repeatsOf } from '../../media/sources/kohya-folder.ts'
import { sha256 } from '../../store/safe-fs.ts'
import type { Captioner, Said } from './captioner.ts'

type Settings = Extract<CaptionerChoice, { kind: 'names' }>

/** What cameras, phones and programs put before a number. */
const cameraWord =
  /^(img|dsc[nf]?|dscpdc|pxl|mvi|gopr|gx|dji|vid|wp|sam|mg|p|pict|image|photo|pic|picture|scan|screenshot|untitled|frame|图片|照片|截图|截屏|微信图片|未命名)$/i
const copyWord = /^(copy|kopie|copie|副本|拷贝)$/i
/** Folders that say nothing of what is in them. */
const plainFolder =
  /^(images?|imgs?|pictures?|pics?|photos?|train|training|val|validation|test|data|dataset|datasets|downloads?|dcim|camera|new folder|图片|照片|数据集|新建文件夹)$/i
const shard = /\.(tar|zip|tgz|gz)$/i
const numbers = /^(\d+|\d+x\d+|\d{2,}p|v\d+)$/i
/** Names that programs make: hexadecimal with digits in it, eight or more. */
const hash = /^(?=.*\d)[0-9a-f]{8,}$/i

/** Words of a name as people would say them: "IMG_1234" has none, "red-apple_02" is "red apple". */
export function spokenWords(name: string): string {
  const parts = name
    .normalize('NFKC')
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gi, ' ')
    .replace(/(\p{Ll})(\p{Lu})/gu, '$1 $2')
    .replace(/([\p{L}])['’]([\p{L}])/gu, '$1\u0001$2')
    .split(/[\s\p{P}\p{S}\p{Z}]+/u)
    .flatMap(
      (part) =>
        part
          .replaceAll('\u0001', "'")
          .match(/^(\p{Script=Han}+)(\d+)$/u)
          ?.slice(1) ?? [part.replaceAll('\u0001', "'")],
    )
    .filter((part) => part !== '')
  const isNumber = (part: string | undefined) => part !== undefined && (numbers.test(part) || hash.test(part))
  const kept = parts.filter((part, i) => {
    if (isNumber(part) || copyWord.test(part)) return false
    const stem = part.replace(/\d+$/, '')
    if (!cameraWord.test(stem)) return true
    return stem === part && parts.length > 1 && !isNumber(parts[i + 1]) // "picture frame" is no camera's name
  })
  return kept.join(' ').replace(/\p{Cc}/gu, '')
}

/** Fills a template; what is empty takes its comma along, and nothing is said twice. */
export function fillTemplate(template: string, slots: Readonly<Record<string, string>>): string {
  const filled = template.replace(/\{([a-z]+)\}/g, (_, slot: string) => slots[slot] ?? '')
  const seen = new Set<string>()
  return filled
    .split(/\s*[,，]\s*/u)
    .map((part) => part.replace(/\s+/g, ' ').trim())
    .filter((part) => part !== '' && !seen.has(part.toLowerCase()) && seen.add(part.toLowerCase()))
    .join(', ')
}

/** What the path of a picture says of it. */
export function describeName(source: string, { template, folderTags }: Pick<Settings, 'template' | 'folderTags'>): Said {
  const parts = source.split('/')
  const folders = parts.slice(0, -1).filter((part) => !shard.test(part))
  const concept = folders.map((part) => repeatsOf(part)?.concept).findLast((one) => one !== undefined) ?? ''
  const said = folders.filter((part) => !plainFolder.test(part)).map((part) => spokenWords(repeatsOf(part)?.concept ?? part))
  const spoken = said.filter((part) => part !== '')
  const name = spokenWords(parts.at(-1)!.replace(/\.[a-z0-9]{1,5}$/i, ''))
  const caption = fillTemplate(template, { name, folder: spoken.at(-1) ?? '', concept: spokenWords(concept) })
  const tags = folderTags ? [...new Set(spoken.map((part) => part.toLowerCase()))] : []
  return { caption, tags }
}

/** Captions and tags from file names, folders and concepts: needs no model, sees no picture. */
export function nameCaptioner({ template, folderTags }: Settings): Captioner {
  return {
    maker: { kind: 'names', name: 'file names', hash: sha256(JSON.stringify([template, folderTags])) },
    looks: false,
    gives: { caption: template !== '', tags: folderTags },
    atOnce: 1,
    describe: async (source) => describeName(source, { template, folderTags }),
  }
}
