/** Seconds as a clock: 07:05, 1:02:03. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60]
  const two = (n: number) => String(n).padStart(2, '0')
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${two(m)}:${two(s)}`
}

/** A whole number with thousands marked as the language does. */
export function count(n: number, locale: string): string {
  return new Intl.NumberFormat(locale).format(n)
}

/** A share from 0 to 1 in whole percent. */
export function percent(share: number, locale: string): string {
  return new Intl.NumberFormat(locale, { style: 'percent', maximumFractionDigits: 0 }).format(share)
}

/** A large number in the language's own words: 2.53 million, 253万. */
export function rounded(n: number, locale: string): string {
  return new Intl.NumberFormat(locale, { notation: 'compact', compactDisplay: 'long', maximumSignificantDigits: 3 }).format(n)
}

/** Bytes in the largest unit that keeps a number of at least 1: 1.5 GiB. */
export function bytes(n: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, n)) / 10)))
  const value = n / 1024 ** power
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[power]}`
}

/**
 * The average that makes a noisy curve readable. Losses fall fast at first and slowly later, so it reaches further the further it comes: to both
 * sides by a `share` of the way so far, by `most` points at most. Points that were not measured count for nothing.
 */
export function smooth(values: readonly (number | null)[], share = 0.1, most = 50): (number | null)[] {
  let last: number | null = null
  return values.map((_, i) => {
    const reach = Math.min(Math.floor(i * share), most)
    const near = values.slice(i - reach, i + reach + 1).filter((value) => value !== null)
    if (near.length > 0) last = near.reduce((sum, value) => sum + value, 0) / near.length
    return last
  })
}
