import { resolve } from 'node:path'
import type { LedgerTotals } from '#contracts/dataset.ts'
import { StudioError } from '#contracts/errors.ts'
import type { ItemId } from '#contracts/project.ts'
import { cutsOf, type ClipOptions, type ClipRules, type Trim, type VideoReason } from '#contracts/video.ts'
import { sha256, type SafeFs } from '../../store/safe-fs.ts'
import { ClipFiles, type VideoLine } from './clip-files.ts'
import { planClips, targetRate, type ClipPlan } from './clip-plan.ts'
import { ClipWriter } from './clip-writer.ts'
import { hashFile } from './file-hash.ts'
import { streamFrames } from './frames.ts'
import { dropSentence } from './plan-words.ts'
import { probeVideo, type ProbedVideo } from './probe.ts'
import type { SceneCache } from './scene-cache.ts'
import { scoreScenes } from './scenes.ts'
import { VideoError } from './video-error.ts'
import { listVideos, videoCaption, type SourceVideo } from './video-folder.ts'

const idLength = 20
const tellEvery = 32 // frames

export interface VideoImportRun {
  /** The program. */
  ffmpeg: string
  datasetFolder: string
  scenes: SceneCache
  fs: SafeFs
  signal: AbortSignal
  /** Videos done and in all, and what is being read. */
  onProgress: (progress: { done: number; total: number; file: string }) => void
}

/**
 * Cuts the videos of a folder into clips of the data set. Sources are only read; sound is not. Every video ends in the manifest, used or with a
 * reason. One that is there already, of the same bytes and by the same rules, is not done twice: an import that was killed ends, when it is started
 * again, as one that was never disturbed.
 *
 * @throws StudioError bad-source when there is no video at all; disk-full (go on after space is made); cancelled.
 */
export async function importVideos(folder: string, options: ClipOptions, run: VideoImportRun): Promise<LedgerTotals> {
  const root = resolve(folder)
  const videos = await listVideos(root)
  if (videos.length === 0)
    throw new StudioError(
      'bad-source',
      `There is no video in "${root}". Choose a folder with MP4, MOV, Matroska, WebM, AVI or MPEG-TS videos.`,
    )
  const files = new ClipFiles(run.datasetFolder, run.fs)
  await files.prepare()
  const trims = new Map(options.trims.map((one) => [one.source, one.trim]))
  const thresholds = new Map(options.thresholds.map((one) => [one.source, one.cutThreshold]))
  const rulesOf = (source: string): ClipRules => {
    const own = thresholds.get(source)
    return own === undefined ? options.rules : { ...options.rules, cutThreshold: own }
  }
  const keyOf = (line: { root: string; source: string }) => `${line.root}\n${line.source}`
  const lines = new Map((await files.lines()).map((line) => [keyOf(line), line]))
  const byHash = new Map([...lines.values()].filter(isFirst).map((line) => [line.fileHash, line]))

  for (const [done, video] of videos.entries()) {
    run.signal.throwIfAborted()
    const tell = (doing: string) => run.onProgress({ done, total: videos.length, file: `${video.source}${doing}` })
    tell('')
    const key = keyOf({ root, source: video.source })
    const wanted = { imageSize: options.imageSize, rules: rulesOf(video.source), trim: trims.get(video.source) ?? null }
    const before = lines.get(key) ?? null
    const twinOf = (fileHash: string) => {
      const twin = byHash.get(fileHash)
      return twin && keyOf(twin) !== key ? twin : null
    }
    const line = await importVideo({ root, video, wanted, twinOf, tell }, before, files, run)
    if (!line) continue
    await files.append(line)
    lines.set(key, line)
    if (before && isFirst(before)) byHash.delete(before.fileHash)
    if (isFirst(line)) byHash.set(line.fileHash, line)
  }
  await files.prepare() // what is replaced takes no space
  run.onProgress({ done: videos.length, total: videos.length, file: '' })
  const mine = [...lines.values()].filter((line) => line.root === root)
  const count = (state: VideoLine['state']) => mine.filter((line) => line.state === state).length
  return { found: mine.length, used: count('used'), partial: count('partial'), rejected: count('rejected') }
}

/** Whether a video is the first of its bytes, and so the one that has the clips. */
function isFirst(line: VideoLine): line is VideoLine & { fileHash: string } {
  return line.fileHash !== null && line.reason !== 'duplicate'
}

interface Wanted {
  imageSize: number
  rules: ClipOptions['rules']
  trim: Trim | null
}

interface Task {
  root: string
  video: SourceVideo
  wanted: Wanted
  /** Another video of the same bytes that is there already. */
  twinOf: (fileHash: string) => VideoLine | null
  /** What is being done with it, behind its name. */
  tell: (doing: string) => void
}

/** What becomes of one video; null when it is in already. A video that cannot be used is told, never thrown. */
async function importVideo(
  { root, video, wanted, twinOf, tell }: Task,
  before: VideoLine | null,
  files: ClipFiles,
  run: VideoImportRun,
): Promise<VideoLine | null> {
  const { source, path } = video
  let fileHash: string | null = null
  const rejected = (reason: VideoReason, detail: string, frames = 0): VideoLine => ({
    ...{ root, source, state: 'rejected', reason, detail, fileHash },
    made: { ...wanted, frames, usedFrames: 0 },
    clips: [],
  })
  try {
    fileHash = await hashFile(path, run.signal)
    const twin = twinOf(fileHash)
    if (before?.fileHash === fileHash && isSame(before.made, wanted) && (before.reason === 'duplicate') === (twin !== null)) return null
    if (twin) return rejected('duplicate', `The video is the same as "${twin.source}", byte for byte.`)
    const probed = await probeVideo(run.ffmpeg, path, run.signal)
    const made = await makeClips({ path, fileHash, wanted, probed, tell }, files, run)
    const drops = dropSentence(made.plan)
    const frames = made.plan.fates.length
    if (made.clips.length === 0) return rejected('no-clip', `No clip of ${wanted.rules.frames} frames fits. ${drops ?? ''}`.trim(), frames)
    const lost = probed.probe.frames - frames
    const detail = [drops, lost > 0 ? `${lost} frames are damaged and cannot be decoded.` : null].filter((part) => part !== null).join(' ')
    const caption = await videoCaption(path)
    return {
      ...{ root, source, fileHash },
      ...(detail === '' ? { state: 'used', reason: null, detail: null } : { state: 'partial', reason: 'frames-dropped', detail }),
      made: { ...wanted, frames, usedFrames: made.plan.fates.filter((fate) => fate === null).length },
      clips: made.clips.map((clip) => ({ ...clip, caption })),
    }
  } catch (error) {
    if (error instanceof VideoError) return rejected(error.fault, error.message)
    throw error
  }
}

function isSame(made: Wanted, wanted: Wanted): boolean {
  const text = ({ imageSize, rules, trim }: Wanted) =>
    JSON.stringify([imageSize, Object.entries(rules).sort(), trim && [trim.startSeconds, trim.endSeconds]])
  return text(made) === text(wanted)
}

interface Made {
  plan: ClipPlan
  clips: Omit<VideoLine['clips'][number], 'caption'>[]
}

/**
 * Plans by the times that the container tells, which costs no decoding, unless scenes are wanted. Where as many frames cannot be decoded, the plan
 * is made again by those that can.
 */
async function makeClips(
  { path, fileHash, wanted, probed, tell }: { path: string; fileHash: string; wanted: Wanted; probed: ProbedVideo } & Pick<Task, 'tell'>,
  files: ClipFiles,
  run: VideoImportRun,
): Promise<Made> {
  const { rules, trim, imageSize } = wanted
  const share = (work: string, done: number) => {
    if (done % tellEvery === 0) tell(` · ${work} ${Math.min(100, Math.floor((100 * done) / probed.probe.frames))} %`)
  }
  const decoded = async () => {
    const there = await run.scenes.get(fileHash)
    if (there) return there
    const scored = await scoreScenes(run.ffmpeg, path, { signal: run.signal, onFrame: (done) => share('scenes', done) })
    await run.scenes.put(fileHash, scored)
    return scored
  }
  const extract = async (times: ArrayLike<number>, cuts: readonly number[]): Promise<Made | null> => {
    const plan = planClips(times, cuts, rules, trim)
    if (plan.clips.length === 0) return { plan, clips: [] }
    const key = sha256(JSON.stringify([fileHash, imageSize, rules, trim])).slice(0, 24)
    const writer = new ClipWriter(run.fs, (shard) => files.shardPath(shard), key, plan.clips)
    try {
      const frames = await streamFrames(run.ffmpeg, path, probed.probe, {
        imageSize,
        signal: run.signal,
        onFrame: async (index, rgb) => {
          share('frames', index + 1)
          await writer.take(index, rgb)
          return true // to the end: how many there are is known only then
        },
      })
      if (frames !== times.length || !writer.done) {
        await writer.discard()
        return null
      }
      await writer.keep()
    } catch (error) {
      await writer.discard()
      throw error
    }
    const frameRate = (targetRate(times, rules) ?? probed.probe.frameRate) / rules.stride
    return {
      plan,
      clips: plan.clips.map((picks, i) => ({
        ...writer.written[i]!,
        id: sha256(`${key} ${i}`).slice(0, idLength) as ItemId,
        frames: picks.length,
        firstFrame: picks[0]!,
        lastFrame: picks.at(-1)!,
        startSeconds: times[picks[0]!]!,
        frameRate,
      })),
    }
  }
  const told = rules.cutThreshold === null ? await extract(probed.times, []) : null
  if (told) return told
  const { times, scores } = await decoded()
  const made = await extract(times, rules.cutThreshold === null ? [] : cutsOf(scores, rules.cutThreshold))
  if (!made)
    throw new VideoError('corrupt', 'The video gives another number of frames each time it is decoded. Copy it again from its source.')
  return made
}
