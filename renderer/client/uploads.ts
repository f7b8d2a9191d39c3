import { StudioError } from '#contracts/errors.ts'
import { call } from './studio-client.ts'

interface DroppedFile {
  /** Path inside what was dropped. */
  name: string
  file: File
}

/** What was dropped as a path that can be imported: its own where the host tells it, else that of a copy sent to the studio. */
export async function sendFiles(
  dropped: DataTransfer,
  onProgress: (done: number, total: number) => void,
): Promise<{ path: string; isCopy: boolean }> {
  const paths = window.studio ? [...dropped.files].map((file) => window.studio!.pathOf(file)) : []
  if (paths.length === 1 && paths[0] !== '') return { path: paths[0]!, isCopy: false }
  if (paths.length > 1 && paths.every((path) => path !== '')) return { path: (await call('import.gather', { paths })).path, isCopy: true }
  const files = await droppedFiles(dropped)
  if (files.length === 0) throw new StudioError('bad-source', 'Nothing was dropped. Drop a folder or some pictures.')
  for (const [done, { name, file }] of files.entries()) {
    onProgress(done, files.length)
    await post(`import/files?name=${encodeURIComponent(name)}`, file)
  }
  const answer = (await (await post('import/done', null)).json()) as { path: string }
  return { path: answer.path, isCopy: true }
}

async function post(address: string, body: File | null): Promise<Response> {
  const answer = await fetch(address, { method: 'POST', body })
  if (!answer.ok) throw new StudioError('bad-source', await answer.text())
  return answer
}

/** Files and the contents of folders. The entries must be taken before the event ends. */
async function droppedFiles(dropped: DataTransfer): Promise<DroppedFile[]> {
  const entries = [...dropped.items].flatMap((item) => item.webkitGetAsEntry() ?? [])
  // What another program drags in may be files that lie in no folder, and so have no entry.
  if (entries.length === 0) return [...dropped.files].map((file) => ({ name: file.name, file }))
  return (await Promise.all(entries.map((entry) => filesOf(entry, '')))).flat()
}

async function filesOf(entry: FileSystemEntry, folder: string): Promise<DroppedFile[]> {
  const name = `${folder}${entry.name}`
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject))
    return [{ name, file }]
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader()
  const inside: FileSystemEntry[] = []
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject))
    if (some.length === 0) break
    inside.push(...some)
  }
  return (await Promise.all(inside.map((one) => filesOf(one, `${name}/`)))).flat()
}
