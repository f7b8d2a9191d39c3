import { readdir, realpath, stat, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { StudioError } from '#contracts/errors.ts'
import type { FolderListing, StudioServices } from '#contracts/studio.ts'
import { engineVersion } from '#engine/version.ts'
import { findFfmpeg } from '../media/ffmpeg.ts'
import { videoNames } from '../media/video/video-folder.ts'
import { isCode } from '../store/safe-fs.ts'
import { isStagedPath } from '../store/staged-drops.ts'
import type { StudioContext } from './context.ts'
import { isAllowed } from './dataset.ts'

type SystemServices = Pick<StudioServices, 'system.describe' | 'system.pickFolder' | 'system.pickFile' | 'system.browse'>

const pictureNames = /\.(png|jpe?g|webp|gif|tiff?|avif)$/i
const archiveNames = /\.(zip|tar|tgz|tar\.gz)$/i
const listedFiles = 2000

export function systemServices(context: StudioContext): SystemServices {
  return {
    'system.describe': async () => ({
      version: engineVersion,
      host: context.host,
      engine: context.engine.status.device ? context.engine.status : await context.engine.describe(),
      ffmpeg: await findFfmpeg(),
      freeBytes: await freeBytes(context.current()?.folder.root ?? context.projectsFolder),
      canPickFolder: context.pickFolder !== null,
    }),
    'system.pickFolder': () => pick(context, context.pickFolder),
    'system.pickFile': () => pick(context, context.pickFile),
    'system.browse': async ({ path }) => {
      const wanted = path ?? [...context.allowedRoots][0] ?? '/'
      const real = await realpath(wanted).catch(() => null)
      if (real === null || !isAllowed(context.allowedRoots, real)) {
        throw new StudioError(
          'bad-source',
          `The folder "${wanted}" cannot be shown: it is not there or lies outside the folders this studio may read.`,
        )
      }
      const entries = await readdir(real, { withFileTypes: true }).catch((cause: unknown) => {
        throw new StudioError('bad-source', `The folder "${real}" cannot be opened. Check its permissions.`, { cause })
      })
      const parent = dirname(real)
      return {
        path: real,
        parent: parent !== real && isAllowed(context.allowedRoots, parent) ? parent : null,
        folders: entries
          .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
          .map(({ name }) => ({ name, path: join(real, name) }))
          .sort((a, b) => a.name.localeCompare(b.name)),
        pictures: entries.filter((entry) => entry.isFile() && pictureNames.test(entry.name)).length,
        videos: entries.filter((entry) => entry.isFile() && videoNames.test(entry.name)).length,
        places: [...context.allowedRoots].filter((root) => !isStagedPath(root)),
        files: await importable(
          real,
          entries.filter((entry) => entry.isFile()).map(({ name }) => name),
        ),
      }
    },
  }
}

/** What a person chose may be read from then on. */
async function pick(context: StudioContext, ask: (() => Promise<string | null>) | null): Promise<string | null> {
  const path = (await ask?.()) ?? null
  if (path !== null) context.allowedRoots.add(await realpath(path))
  return path
}

/** The files of a folder that can be imported on their own; archives and TOML files before pictures, and those before videos. */
async function importable(folder: string, names: readonly string[]): Promise<FolderListing['files']> {
  const kinds = { archive: archiveNames, toml: /\.toml$/i, picture: pictureNames, video: videoNames } as const
  const found = Object.entries(kinds).flatMap(([kind, pattern]) =>
    names
      .filter((name) => pattern.test(name) && !name.startsWith('.'))
      .sort((a, b) => a.localeCompare(b))
      .map((name) => ({ name, path: join(folder, name), kind: kind as keyof typeof kinds })),
  )
  return Promise.all(
    found.slice(0, listedFiles).map(async (file) => ({
      ...file,
      sizeBytes: await stat(file.path).then(
        ({ size }) => size,
        () => null,
      ),
    })),
  )
}

/** Free space in bytes where a folder is or, while it is not made yet, would come to be; null where the system does not say. */
export async function freeBytes(folder: string): Promise<number | null> {
  try {
    const { bavail, bsize } = await statfs(folder)
    return bavail * bsize
  } catch (error) {
    const parent = dirname(folder)
    return isCode(error, 'ENOENT') && parent !== folder ? freeBytes(parent) : null
  }
}
