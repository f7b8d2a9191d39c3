import { basename, resolve } from 'node:path'
import { StudioError } from '#contracts/errors.ts'
import { mediaUrl, type StudioServices } from '#contracts/studio.ts'
import { cutsOf } from '#contracts/video.ts'
import { planClips, planWhole } from '../media/video/clip-plan.ts'
import { describePlan, describeWhole } from '../media/video/plan-words.ts'
import { isVideoName } from '../media/video/video-folder.ts'
import { VideoError } from '../media/video/video-error.ts'
import type { StudioContext } from './context.ts'
import { checkSource, isAllowed } from './dataset.ts'
import { clipsNote } from './queue/video-runners.ts'

type VideoServices = Pick<
  StudioServices,
  | 'video.list'
  | 'video.probe'
  | 'video.scenes'
  | 'video.scores'
  | 'video.plan'
  | 'video.strip'
  | 'video.import'
  | 'video.ledger'
  | 'video.clips'
>

export function videoServices(context: StudioContext): VideoServices {
  const videos = () => context.project().videos

  return {
    'video.list': async ({ path }) => videos().list(await allowedVideos(context, path)),
    'video.probe': async ({ id }) => {
      try {
        return { probe: (await videos().probe(id)).probe, refused: null }
      } catch (error) {
        if (error instanceof VideoError) return { probe: null, refused: { fault: error.fault, detail: error.message } }
        throw error
      }
    },
    'video.scenes': async ({ id }) => {
      const path = videos().pathOf(id)
      return context.project().queue.add(basename(path), { kind: 'scenes', videoId: id, path })
    },
    'video.scores': ({ id }) => usable(() => videos().scores(id)),
    'video.plan': async ({ id, rules, trim, ownThreshold = false }) => {
      const { probe, times: told } = await usable(() => videos().probe(id))
      const whole = trim || ownThreshold ? null : await videos().whole(id, (path) => isAllowed(context.allowedRoots, path))
      if (whole) return describeWhole(await usable(async () => planWhole(told, whole)), probe, whole)
      const scored = await usable(() => videos().scores(id))
      if (rules.cutThreshold !== null && !scored)
        throw new StudioError('invalid-request', 'The scenes of this video are not known yet. Look for them first, or plan without cuts.')
      const times = scored?.times ?? told
      const cuts = scored && rules.cutThreshold !== null ? cutsOf(scored.scores, rules.cutThreshold) : []
      const plan = await usable(async () => planClips(times, cuts, rules, trim))
      return describePlan(plan, { probe, times, cuts, rules, trim })
    },
    'video.strip': async ({ id, count }) => {
      const { times, probe } = await usable(() => videos().probe(id))
      return Array.from({ length: count }, (_, i) => {
        const frame = Math.floor(((i + 0.5) * times.length) / count)
        const seconds = times[frame] ?? probe.durationSeconds / 2
        return { seconds, pictureUrl: mediaUrl.frame(id, Math.floor(seconds * 1000)) }
      })
    },
    'video.import': async ({ path, options }) => {
      const folder = await allowedVideos(context, path)
      return context.project().queue.add(folder, { kind: 'clips', path: folder, options })
    },
    'video.ledger': async ({ offset, limit, state, path }) => {
      const folder = path && resolve(await allowedVideos(context, path))
      const entries = (await context.project().clips.entries(folder)).filter((entry) => state === null || entry.state === state)
      return { total: entries.length, entries: entries.slice(offset, offset + limit) }
    },
    'video.clips': async ({ offset, limit, path, source }) => {
      const folder = path && resolve(await allowedVideos(context, path))
      const clips = await context.project().clips.clips(folder, source)
      return { total: clips.length, clips: clips.slice(offset, offset + limit), note: clipsNote }
    },
  }
}

/** A folder of videos or a single one. */
async function allowedVideos(context: StudioContext, path: string): Promise<string> {
  const checked = await checkSource(context, { kind: 'folder', path })
  if (checked.kind === 'sample' || (checked.kind === 'file' && !isVideoName(checked.path)))
    throw new StudioError('bad-source', `"${path}" is neither a folder nor a video. Choose the folder that holds the videos.`)
  return checked.path
}

/** The answer, or why the video cannot be used, as an expected failure. */
async function usable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof VideoError) throw new StudioError('bad-source', error.message, { cause: error, details: { fault: error.fault } })
    throw error
  }
}
