import { StudioError } from '#contracts/errors.ts'
import { queryFields, type FieldName } from './fields.ts'

export type Comparison = '=' | '!=' | '<' | '<=' | '>' | '>='

/** A question about one item. */
export type Query =
  | { kind: 'all' }
  | { kind: 'and' | 'or'; parts: Query[] }
  | { kind: 'not'; part: Query }
  | { kind: 'words'; text: string; exact: boolean }
  | { kind: 'number'; field: FieldName; comparison: Comparison; value: number }
  | { kind: 'choice'; field: FieldName; value: string }
  | { kind: 'text'; field: FieldName; text: string }

const depthLimit = 32
const termLimit = 100

/**
 * Reads a question in the studio's query language (docs/query-language.md).
 *
 * @throws StudioError invalid-request: one sentence on the first mistake, with `details: {position, length}` in characters of `text`.
 */
export function parseQuery(text: string): Query {
  return new Parser(text).read()
}

class Parser {
  readonly #text: string
  #at = 0
  #terms = 0

  constructor(text: string) {
    this.#text = text
  }

  read(): Query {
    this.#space()
    if (this.#done) return { kind: 'all' }
    const query = this.#either(0)
    if (!this.#done) throw this.#mistake(this.#at, 1, 'This ")" closes nothing. Remove it, or open it with "(" before')
    return query
  }

  get #done(): boolean {
    return this.#at >= this.#text.length
  }

  #either(depth: number): Query {
    const parts = [this.#all(depth)]
    while (this.#keyword('OR')) parts.push(this.#all(depth))
    return parts.length === 1 ? parts[0]! : { kind: 'or', parts }
  }

  #all(depth: number): Query {
    const parts = [this.#one(depth)]
    for (;;) {
      if (this.#keyword('AND')) parts.push(this.#one(depth))
      else if (this.#done || this.#text[this.#at] === ')' || this.#sees('OR')) break
      else parts.push(this.#one(depth))
    }
    return parts.length === 1 ? parts[0]! : { kind: 'and', parts }
  }

  #one(depth: number): Query {
    const start = this.#at
    if (depth > depthLimit) throw this.#mistake(start, 1, `More than ${depthLimit} levels of parentheses and NOT. Ask in fewer`)
    if (++this.#terms > termLimit) throw this.#mistake(start, 1, `More than ${termLimit} terms. Ask for less at once`)
    for (const word of ['AND', 'OR'])
      if (this.#sees(word))
        throw this.#mistake(start, word.length, `Before "${word}" something is missing. Write a term on both sides of it`)
    if (this.#keyword('NOT')) return { kind: 'not', part: this.#one(depth + 1) }
    if (this.#done) throw this.#mistake(start, 0, 'Something is missing at the end. Write a term there')
    if (this.#text[start] === '-' && /[^\s)]/.test(this.#text[start + 1] ?? ' ')) {
      this.#at++
      return { kind: 'not', part: this.#one(depth + 1) }
    }
    if (this.#text[start] === ')') throw this.#mistake(start, 1, 'Before this ")" something is missing. Write a term there or remove it')
    if (this.#text[start] === '(') {
      this.#at++
      this.#space()
      const inside = this.#either(depth + 1)
      if (this.#text[this.#at] !== ')') throw this.#mistake(start, 1, 'This "(" is never closed. Add a ")"')
      this.#at++
      this.#space()
      return inside
    }
    return this.#term()
  }

  #term(): Query {
    const start = this.#at
    const [head, name, sign] = /^([a-z]+)(:|<=|>=|!=|=|<|>)/i.exec(this.#text.slice(start)) ?? []
    if (head === undefined) {
      const { value, quoted } = this.#value()
      return { kind: 'words', text: value, exact: quoted }
    }
    const field = name!.toLowerCase()
    if (!isField(field)) {
      throw this.#mistake(
        start,
        name!.length,
        `There is no field "${name}". Fields are ${Object.keys(queryFields).join(', ')}; put quotes around words that hold a "${sign}"`,
      )
    }
    this.#at += head.length
    if (/^[\s)]?$/.test(this.#text[this.#at] ?? ''))
      throw this.#mistake(start, head.length, `After "${head}" a value is missing, as in ${example(field)}`)
    const { value } = this.#value()
    return this.#question(field, sign!, value, start)
  }

  #question(field: FieldName, sign: string, value: string, start: number): Query {
    const asked = queryFields[field]
    const length = this.#text.slice(start, this.#at).trimEnd().length
    const not = (part: Query): Query => (sign === '!=' ? { kind: 'not', part } : part)
    if (asked.kind === 'number') {
      const [low, high] = sign === ':' ? value.split('..') : [value]
      const numbers = [low, high].flatMap((one) => (one === undefined ? [] : [toNumber(one)]))
      if (numbers.some((one) => one === null))
        throw this.#mistake(start, length, `"${value}" is not a number. Write it as in ${example(field)}`)
      const compare = (comparison: Comparison, number: number): Query => ({ kind: 'number', field, comparison, value: number })
      if (high !== undefined) return { kind: 'and', parts: [compare('>=', numbers[0]!), compare('<=', numbers[1]!)] }
      return compare(sign === ':' ? '=' : (sign as Comparison), numbers[0]!)
    }
    if (!/^(:|=|!=)$/.test(sign))
      throw this.#mistake(start, length, `"${field}" has no order, so "${sign}" means nothing for it. Write it as in ${example(field)}`)
    if (asked.kind === 'text') return not({ kind: 'text', field, text: value })
    const choice = value.toLowerCase()
    if (asked.kind === 'bucket' ? !/^\d{1,4}x\d{1,4}$/.test(choice) : !asked.choices.includes(choice)) {
      const allowed = asked.kind === 'bucket' ? 'a width and a height' : asked.choices.join(', ')
      throw this.#mistake(start, length, `"${field}" cannot be "${value}". It is ${allowed}, as in ${example(field)}`)
    }
    return not({ kind: 'choice', field, value: choice })
  }

  /** A quoted text, in which \\" stands for a quote, or everything up to a space or parenthesis. */
  #value(): { value: string; quoted: boolean } {
    const rest = this.#text.slice(this.#at)
    const quoted = /^"((?:[^"\\]|\\.)*)"/s.exec(rest)
    if (rest.startsWith('"') && !quoted) throw this.#mistake(this.#at, rest.length, 'This quote is never closed. Add a " at its end')
    const plain = /^[^\s()"]+/.exec(rest)
    const length = (quoted ?? plain)?.[0].length ?? 0
    const value = quoted ? quoted[1]!.replace(/\\(.)/gs, '$1') : (plain?.[0] ?? '')
    this.#at += length
    this.#space()
    return { value, quoted: quoted !== null }
  }

  #space(): void {
    this.#at += /^\s*/.exec(this.#text.slice(this.#at))![0].length
  }

  #sees(word: string): boolean {
    return this.#text.startsWith(word, this.#at) && /^[\s()"]?$/.test(this.#text[this.#at + word.length] ?? '')
  }

  #keyword(word: string): boolean {
    if (!this.#sees(word)) return false
    this.#at += word.length
    this.#space()
    return true
  }

  #mistake(position: number, length: number, sentence: string): StudioError {
    return new StudioError('invalid-request', `${sentence} (character ${position + 1} of the search).`, { details: { position, length } })
  }
}

function isField(name: string): name is FieldName {
  return Object.hasOwn(queryFields, name)
}

function example(field: FieldName): string {
  return queryFields[field].example
}

function toNumber(text: string): number | null {
  return /^-?(\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) : null
}
