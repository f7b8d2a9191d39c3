/** Scheme and host of the studio's own pages; nothing else is ever loaded. */
export const studioScheme = 'app'
export const studioHost = 'studio'
export const studioPage = `${studioScheme}://${studioHost}/index.html`

/** Whether an address is one of the studio's own, by its parsed parts: "app://studio.evil" and "app://studio@evil" are not. */
export function isStudioUrl(address: string): boolean {
  if (!URL.canParse(address)) return false
  const { protocol, host, username, password } = new URL(address)
  return protocol === `${studioScheme}:` && host === studioHost && username === '' && password === ''
}
