import { computed, onBeforeUnmount, ref, type Ref } from 'vue'
import { frameAtTime } from './timeline.ts'

const fastest = 8

export interface VideoPlayhead {
  /** The frame that is shown. */
  frame: Ref<number>
  /** How fast it moves: 1 as the video, -2 backward at double speed, 0 not at all. */
  speed: Ref<number>
  playing: Ref<boolean>
  go: (frame: number) => void
  step: (by: number) => void
  pause: () => void
  /** Plays in a direction; once more, twice as fast. */
  shuttle: (direction: -1 | 1) => void
  toggle: () => void
}

/** Moves over the frames of a video by their times, as editors' keys J, K and L do. */
export function useVideoPlayhead(times: () => ArrayLike<number>): VideoPlayhead {
  const frame = ref(0)
  const speed = ref(0)
  let [seconds, before, request] = [0, 0, 0]

  const pause = () => {
    speed.value = 0
    cancelAnimationFrame(request)
  }
  const go = (to: number) => (frame.value = Math.max(0, Math.min(times().length - 1, Math.round(to))))
  const move = (now: number) => {
    const all = times()
    seconds += (Math.max(0, now - before) / 1000) * speed.value
    before = now
    go(frameAtTime(all, seconds + 1e-6) - 1)
    if (speed.value < 0 ? seconds <= 0 : seconds >= (all[all.length - 1] ?? 0)) pause()
    else request = requestAnimationFrame(move)
  }
  const play = (at: number) => {
    const all = times()
    if (all.length < 2) return
    if (at > 0 && frame.value >= all.length - 1) go(0)
    ;[speed.value, seconds, before] = [at, all[frame.value]! + (at > 0 ? 1e-6 : -1e-6), performance.now()]
    cancelAnimationFrame(request)
    request = requestAnimationFrame(move)
  }
  onBeforeUnmount(pause)
  return {
    frame,
    speed,
    playing: computed(() => speed.value !== 0),
    go: (to) => {
      pause()
      go(to)
    },
    step: (by) => {
      pause()
      go(frame.value + by)
    },
    pause,
    shuttle: (direction) =>
      play(Math.sign(speed.value) === direction ? direction * Math.min(fastest, Math.abs(speed.value) * 2) : direction),
    toggle: () => (speed.value !== 0 ? pause() : play(1)),
  }
}
