import { nameWords } from './caption.ts'
import { repeatsOf } from './kohya-folder.ts'

/** Whether a caption is what the import made of the file's name or its folder's, for want of one. */
export function isNameOnly({ caption, source }: { caption: string; source: string }): boolean {
  if (caption === nameWords(source)) return true
  return source.split('/').some((part) => repeatsOf(part)?.concept === caption)
}
