import type { ClipRules, PlanRemedy, Trim } from '#contracts/video.ts'
import { planClips, sceneLengths, type ClipPlan } from './clip-plan.ts'

const usedOf = ({ fates }: ClipPlan) => fates.filter((fate) => fate === null).length

/**
 * Changes of one rule each after which more frames of a video are used, each tried before it is told: shorter clips where none fits, clips of what
 * is left of a scene, a lower stride. Clips of less than half the frames are only proposed where nothing longer fits.
 */
export function remediesOf(
  plan: ClipPlan,
  times: ArrayLike<number>,
  cuts: readonly number[],
  rules: ClipRules,
  trim: Trim | null,
): PlanRemedy[] {
  const used = usedOf(plan)
  if (used === plan.fates.length) return []
  const tried = (rule: PlanRemedy['rule'], value: number): PlanRemedy[] => {
    const other = planClips(times, cuts, { ...rules, [rule]: value }, trim)
    return usedOf(other) > used ? [{ rule, value, used: usedOf(other), clipCount: other.clips.length }] : []
  }
  const lengths = sceneLengths(times, cuts, rules, trim)
  const legal = (length: number) => length - ((((length - rules.frames) % rules.lengthStep) + rules.lengthStep) % rules.lengthStep)
  const longest = legal(Math.min(rules.frames, Math.max(0, ...lengths)))
  const lowerStride = () => {
    for (let stride = rules.stride - 1; stride > 0; stride--) {
      const remedy = tried('stride', stride)
      if (remedy.length > 0) return remedy
    }
    return []
  }
  if (plan.clips.length === 0) {
    if (longest < 1) return lowerStride()
    const shorter = rules.shortest === null || longest < rules.shortest ? tried('shortest', longest) : []
    const fewer = rules.shortest === null || longest >= rules.shortest ? tried('frames', longest) : []
    return [...fewer, ...shorter, ...lowerStride()]
  }
  const rests = lengths.map((length) => legal(length % rules.frames)).filter((rest) => rest > 0 && 2 * rest >= rules.frames)
  const least = rests.length > 0 ? rests.reduce((low, rest) => Math.min(low, rest)) : null
  const shorter = least !== null && least < (rules.shortest ?? rules.frames) ? tried('shortest', least) : []
  return [...shorter, ...lowerStride()]
}
