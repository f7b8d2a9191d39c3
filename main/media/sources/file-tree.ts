import type { Remark } from './source-item.ts'

/** No picture or other file of a source is read beyond this. */
export const fileLimitBytes = 512 * 1024 * 1024

/** A file of a tree, or the reason why it must not be read. */
export interface TreeFile {
  /** Path inside the tree, with forward slashes. */
  name: string
  refused: Remark | null
  /** Where it lies on the disk by itself; null inside an archive. */
  path: string | null
  /** All of its bytes. @throws PictureError where they cannot be had or are more than `limitBytes`. */
  read(limitBytes: number): Promise<Uint8Array>
  /** Its first bytes, at most `count`; none where they cannot be had. */
  head(count: number): Promise<Uint8Array>
}

/** Files under one root, in a folder or in an archive. */
export interface FileTree {
  /** What holds the files: "folder", "zip archive". */
  readonly kind: string
  /** All files, in the same order each time. Folders that cannot be opened and links are among them, refused. */
  files(): AsyncIterable<TreeFile>
  /** The file of that name, if it is there and may be read. */
  find(name: string): Promise<TreeFile | null>
  close(): Promise<void>
}

/** The part of a path before its last slash, without it; '' at the root. */
export function folderOf(name: string): string {
  return name.slice(0, Math.max(0, name.lastIndexOf('/')))
}

/** "a/b.tar.gz" -> ["a/b.tar", ".gz"]; a name that begins with its only dot has no ending. */
export function splitEnding(name: string): [stem: string, ending: string] {
  const dot = name.lastIndexOf('.')
  return dot > name.lastIndexOf('/') + 1 ? [name.slice(0, dot), name.slice(dot)] : [name, '']
}

/** A name as it can stand in a sentence: short and without control characters. */
export function quoted(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name)
}
