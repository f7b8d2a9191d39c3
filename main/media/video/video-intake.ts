import { join } from 'node:path'
import type { ItemId } from '#contracts/project.ts'
import { cutsOf, videoReason, type ClipOptions, type Trim, type VideoReason, type WholeClip } from '#contracts/video.ts'
import { sha256, type SafeFs } from '../../store/safe-fs.ts'
import { PictureError } from '../picture.ts'
import { quoted } from '../sources/file-tree.ts'
import type { Said, SourceVideo } from '../sources/source-item.ts'
import { twinSentence } from '../sources/twin.ts'
import { ClipFiles, type VideoLine } from './clip-files.ts'
import { planClips, planWhole, targetRate, wholeRules, type ClipPlan } from './clip-plan.ts'
import { ClipWriter } from './clip-writer.ts'
import { hashFile } from './file-hash.ts'
import { streamFrames } from './frames.ts'
import { dropSentence, noClipSentence } from './plan-words.ts'
import { probeVideo, type ProbedVideo } from './probe.ts'
import type { SceneCache } from './scene-cache.ts'
import { scoreScenes } from './scenes.ts'
import { VideoError } from './video-error.ts'

const idLength = 20
const tellEvery = 32 // frames

export interface IntakeTools {
  /** The program. */
  ffmpeg: string
  datasetFolder: string
  scenes: SceneCache
  fs: SafeFs
  signal: AbortSignal
}

/** How a video is wanted. */
export interface Wanted {
  imageSize: number
  rules: ClipOptions['rules']
  trim: Trim | null
  /** What counts before the rules and what a source says: people said how this very video is cut. */
  byHand?: boolean
}

/** How a video is made into clips. */
interface Making extends Omit<Wanted, 'byHand'> {
  /** That it is a clip as it is. */
  whole: WholeClip | null
}

/** A clip that its source says to be one stays whole, whatever the rules for others are. */
function makingOf({ byHand = false, ...wanted }: Wanted, { whole }: Said): Making {
  if (byHand || !whole) return { ...wanted, whole: null }
  return { ...wanted, rules: wholeRules(whole), trim: null, whole }
}

/**
 * Takes videos of any source into the data set, one after the other: each is decoded once, then its line is written to the manifest. One that is
 * there already, of the same bytes and by the same rules, is not done twice, so that a killed import goes on where it was.
 */
export class VideoIntake {
  readonly #files: ClipFiles
  readonly #tools: IntakeTools
  readonly #lines: Map<string, VideoLine>
  readonly #byHash: Map<string, VideoLine>

  private constructor(files: ClipFiles, tools: IntakeTools, lines: readonly VideoLine[]) {
    this.#files = files
    this.#tools = tools
    this.#lines = new Map(lines.map((line) => [keyOf(line), line]))
    this.#byHash = new Map(lines.filter(isFirst).map((line) => [line.fileHash, line]))
  }

  static async open(tools: IntakeTools): Promise<VideoIntake> {
    const files = new ClipFiles(tools.datasetFolder, tools.fs)
    await files.prepare()
    return new VideoIntake(files, tools, await files.lines())
  }

  /**
   * What becomes of a video stands in the manifest when this resolves. A video that cannot be used is told there, never thrown.
   *
   * @param tell what is being done with it, behind its name.
   */
  async take(root: string, video: SourceVideo, wanted: Wanted, tell: (doing: string) => void): Promise<void> {
    const key = keyOf({ root, source: video.source })
    const before = this.#lines.get(key) ?? null
    const twinOf = (fileHash: string) => {
      const twin = this.#byHash.get(fileHash)
      return twin && keyOf(twin) !== key ? twin : null
    }
    const line = await this.#spooled(video, (path) =>
      importVideo(
        { root, source: video.source, said: video, path, wanted: makingOf(wanted, video), twinOf, tell },
        before,
        this.#files,
        this.#tools,
      ),
    )
    if (!line) return
    await this.#files.append(line)
    this.#lines.set(key, line)
    if (before && isFirst(before)) this.#byHash.delete(before.fileHash)
    if (isFirst(line)) this.#byHash.set(line.fileHash, line)
  }

  /** What is replaced takes no space; all clips that there are now. */
  async close(): Promise<ClipFiles> {
    await this.#files.prepare()
    return this.#files
  }

  /** ffmpeg opens files alone: of a video in an archive there is one for as long as it is read. */
  async #spooled<T>({ video }: SourceVideo, work: (path: string | PictureError) => Promise<T>): Promise<T> {
    if ('path' in video) return work(video.path)
    const path = join(this.#files.folder, spoolName)
    try {
      await this.#tools.fs.writeFile(path, await video.read())
      return await work(path)
    } catch (error) {
      if (error instanceof PictureError) return await work(error)
      throw error
    } finally {
      await this.#tools.fs.remove(path)
    }
  }
}

/** Goes with all files that the manifest does not name, should the studio be killed. */
const spoolName = 'incoming.bin'

function keyOf({ root, source }: { root: string; source: string }): string {
  return `${root}\n${source}`
}

/** Whether a video is the first of its bytes, and so the one that has the clips. */
function isFirst(line: VideoLine): line is VideoLine & { fileHash: string } {
  return line.fileHash !== null && line.reason !== 'duplicate'
}

interface Task {
  root: string
  source: string
  said: Said
  /** Of the file, or why there is none. */
  path: string | PictureError
  wanted: Making
  /** Another video of the same bytes that is there already. */
  twinOf: (fileHash: string) => VideoLine | null
  /** What is being done with it, behind its name. */
  tell: (doing: string) => void
}

/** What becomes of one video; null when it is in already. A video that cannot be used is told, never thrown. */
async function importVideo(
  { root, source, said, path, wanted, twinOf, tell }: Task,
  before: VideoLine | null,
  files: ClipFiles,
  run: IntakeTools,
): Promise<VideoLine | null> {
  let fileHash: string | null = null
  const rejected = (reason: VideoReason, detail: string, frames = 0): VideoLine => ({
    ...{ root, source, state: 'rejected', reason, detail, fileHash },
    made: { ...wanted, frames, usedFrames: 0 },
    clips: [],
  })
  try {
    if (path instanceof PictureError) throw new VideoError(path.reason === 'corrupt' ? 'corrupt' : 'unreadable', path.message, path)
    fileHash = await hashFile(path, run.signal)
    const twin = twinOf(fileHash)
    if (before?.fileHash === fileHash && isSame(before.made, wanted) && (before.reason === 'duplicate') === (twin !== null))
      return saidAgain(before, said)
    if (twin) return rejected('duplicate', twinSentence('video', quoted(twin.source), said, source))
    const probed = await probeVideo(run.ffmpeg, path, run.signal)
    const made = await makeClips({ path, fileHash, wanted, probed, tell }, files, run)
    const drops = dropSentence(made.plan)
    const frames = made.plan.fates.length
    if (made.clips.length === 0) return rejected('no-clip', noClipSentence(made.plan, wanted.rules), frames)
    const lost = probed.probe.frames - frames
    const detail = [drops, lost > 0 ? `${lost} frames are damaged and cannot be decoded.` : null].filter((part) => part !== null).join(' ')
    const { width, height } = probed.probe
    const line: VideoLine = {
      ...{ root, source, fileHash },
      ...(detail === '' ? { state: 'used', reason: null, detail: null } : { state: 'partial', reason: 'frames-dropped', detail }),
      made: { ...wanted, frames, usedFrames: made.plan.fates.filter((fate) => fate === null).length, width, height },
      clips: made.clips.map((clip) => ({ ...clip, caption: '' })),
    }
    return { ...line, ...saying(line, said) }
  } catch (error) {
    if (error instanceof VideoError) return rejected(error.fault, error.message)
    throw error
  }
}

/** The captions, tags and facts of a source as the line of a video has them; a note about them makes it one that is used in part. */
function saying({ state, reason, detail, clips }: VideoLine, { captions: [caption = '', ...captions], tags, facts, note }: Said) {
  const told = videoReason.safeParse(note?.reason)
  const noted = note !== null && told.success
  return {
    said: { captions, tags: [...tags], ...facts },
    clips: clips.map((clip) => ({ ...clip, caption })),
    state: noted && state === 'used' ? ('partial' as const) : state,
    reason: noted && state === 'used' ? told.data : reason,
    detail: noted && !detail?.includes(note.detail) ? [detail, note.detail].filter(Boolean).join(' ') : detail,
  }
}

/** The line of a video that is there already, with what is said of it now; null where that is what it says. */
function saidAgain(line: VideoLine, said: Said): VideoLine | null {
  if (line.clips.length === 0) return null
  const now = { ...line, ...saying(line, said) }
  const text = ({ said: words, clips, detail }: VideoLine) => JSON.stringify([words, clips[0]!.caption, detail])
  return text(now) === text(line) ? null : now
}

function isSame(made: Making, wanted: Making): boolean {
  const text = ({ imageSize, rules, trim, whole }: Making) =>
    JSON.stringify([imageSize, Object.entries(rules).sort(), trim && [trim.startSeconds, trim.endSeconds], whole?.frameRate])
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
  { path, fileHash, wanted, probed, tell }: { path: string; fileHash: string; wanted: Making; probed: ProbedVideo } & Pick<Task, 'tell'>,
  files: ClipFiles,
  run: IntakeTools,
): Promise<Made> {
  const { rules, trim, imageSize, whole } = wanted
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
    const plan = whole ? planWhole(times, whole) : planClips(times, cuts, rules, trim)
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
    const frameRate = whole?.frameRate ?? (targetRate(times, rules) ?? probed.probe.frameRate) / rules.stride
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
