import { defineStore } from 'pinia'
import { ref } from 'vue'
import type { AutoencoderInfo } from '#contracts/autoencoder.ts'
import { call, onNews } from '../client/studio-client.ts'
import { mirrorProject } from './project-mirror.ts'

/** The autoencoder that is chosen for the open project. */
export const useAutoencoder = defineStore('autoencoder', () => {
  const chosen = ref<AutoencoderInfo | null>(null)

  mirrorProject(async (id) => {
    chosen.value = id ? await call('autoencoder.describe', null) : null
  })
  onNews('autoencoder.changed', (news) => (chosen.value = news.chosen))

  return { chosen }
})
