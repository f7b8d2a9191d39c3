import { readFile } from 'node:fs/promises'
import { extname, isAbsolute, join, relative } from 'node:path'

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.woff2': 'font/woff2',
  '.json': 'application/json',
}

/** A file of the built renderer; null for what is not there or would lie outside of it. */
export async function pageFile(folder: string, path: string): Promise<{ bytes: Uint8Array; type: string } | null> {
  const file = join(folder, path === '' ? 'index.html' : path)
  const inside = relative(folder, file)
  const type = types[extname(file)]
  if (inside.startsWith('..') || isAbsolute(inside) || !type) return null
  const bytes = await readFile(file).catch(() => null)
  return bytes ? { bytes, type } : null
}
