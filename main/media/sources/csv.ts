/** A row of a table, or what is wrong with it. `line` counts from 1, as editors do. */
export interface CsvRow {
  line: number
  fields: readonly string[]
  broken: string | null
}

/** Rows of comma-separated text as in RFC 4180: quotes around a field may hold commas, line ends and doubled quotes. */
export function* csvRows(text: string): Generator<CsvRow> {
  let [at, line] = [0, 1]
  while (at < text.length) {
    const fields: string[] = []
    const first = line
    let broken: string | null = null
    let isRowOver = false
    while (!isRowOver) {
      let field = ''
      if (text[at] === '"') {
        const end = endOfQuote(text, at)
        broken ??= end < 0 ? 'a quote is not closed' : null
        field = text.slice(at + 1, end < 0 ? text.length : end).replaceAll('""', '"')
        line += newlines(field)
        at = end < 0 ? text.length : end + 1
      }
      const next = endOfField(text, at)
      const rest = text.slice(at, next).replace(/\r$/, '')
      if (field !== '' && rest !== '') broken ??= 'there is text behind a closed quote'
      fields.push(field + rest)
      isRowOver = text[next] !== ','
      at = next + 1
    }
    if (fields.length > 1 || fields[0] !== '') yield { line: first, fields, broken }
    line++
  }
}

function endOfQuote(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 2)) if (text[end + 1] !== '"') return end
  return -1
}

function endOfField(text: string, from: number): number {
  const found = /[,\n]/g
  found.lastIndex = from
  return found.exec(text)?.index ?? text.length
}

function newlines(text: string): number {
  return text.split('\n').length - 1
}
