import { Menu, type MenuItemConstructorOptions } from 'electron'
import type { MenuCommand } from '#contracts/studio.ts'
import { openExternal } from './navigation.ts'

export type MenuLanguage = 'en' | 'zh-CN'

const texts = {
  file: { en: 'File', 'zh-CN': '文件' },
  edit: { en: 'Edit', 'zh-CN': '编辑' },
  view: { en: 'View', 'zh-CN': '视图' },
  stage: { en: 'Stage', 'zh-CN': '步骤' },
  window: { en: 'Window', 'zh-CN': '窗口' },
  help: { en: 'Help', 'zh-CN': '帮助' },
  newProject: { en: 'New project…', 'zh-CN': '新建项目…' },
  projects: { en: 'Projects', 'zh-CN': '项目' },
  quit: { en: 'Quit', 'zh-CN': '退出' },
  undo: { en: 'Undo', 'zh-CN': '撤销' },
  redo: { en: 'Redo', 'zh-CN': '重做' },
  cut: { en: 'Cut', 'zh-CN': '剪切' },
  copy: { en: 'Copy', 'zh-CN': '复制' },
  paste: { en: 'Paste', 'zh-CN': '粘贴' },
  selectAll: { en: 'Select all', 'zh-CN': '全选' },
  import: { en: 'Import', 'zh-CN': '导入' },
  curate: { en: 'Curate', 'zh-CN': '整理' },
  train: { en: 'Train', 'zh-CN': '训练' },
  generate: { en: 'Generate', 'zh-CN': '生成' },
  gallery: { en: 'Gallery', 'zh-CN': '图库' },
  palette: { en: 'Commands…', 'zh-CN': '命令…' },
  zoomIn: { en: 'Larger', 'zh-CN': '放大' },
  zoomOut: { en: 'Smaller', 'zh-CN': '缩小' },
  actualSize: { en: 'Usual size', 'zh-CN': '默认大小' },
  fullScreen: { en: 'Full screen', 'zh-CN': '全屏' },
  minimize: { en: 'Minimize', 'zh-CN': '最小化' },
  close: { en: 'Close', 'zh-CN': '关闭' },
  shortcuts: { en: 'Keyboard shortcuts', 'zh-CN': '键盘快捷键' },
  paper: { en: 'The ZigMa paper', 'zh-CN': 'ZigMa 论文' },
} as const satisfies Record<string, Record<MenuLanguage, string>>

/** The menu's language for a locale of the system, such as "zh-Hans-CN". */
export function menuLanguage(locale: string): MenuLanguage {
  return /^zh\b/i.test(locale) ? 'zh-CN' : 'en'
}

/** The application's menu. What it cannot do itself it hands to the page as a command. */
export function buildMenu(language: MenuLanguage, onCommand: (command: MenuCommand) => void): Menu {
  const label = (name: keyof typeof texts) => texts[name][language]
  const role = (name: keyof typeof texts, what: NonNullable<MenuItemConstructorOptions['role']>): MenuItemConstructorOptions => ({
    label: label(name),
    role: what,
  })
  const command = (name: keyof typeof texts, what: MenuCommand, accelerator?: string): MenuItemConstructorOptions => ({
    label: label(name),
    ...(accelerator === undefined ? {} : { accelerator }),
    click: () => onCommand(what),
  })
  const separator: MenuItemConstructorOptions = { type: 'separator' }
  const menu = (name: keyof typeof texts, submenu: MenuItemConstructorOptions[]): MenuItemConstructorOptions => ({
    label: label(name),
    submenu,
  })

  return Menu.buildFromTemplate([
    menu('file', [
      command('newProject', 'new-project', 'CmdOrCtrl+N'),
      command('projects', 'projects', 'CmdOrCtrl+O'),
      separator,
      { ...role('quit', 'quit'), accelerator: 'CmdOrCtrl+Q' },
    ]),
    menu('edit', [
      role('undo', 'undo'),
      role('redo', 'redo'),
      separator,
      role('cut', 'cut'),
      role('copy', 'copy'),
      role('paste', 'paste'),
      role('selectAll', 'selectAll'),
    ]),
    menu('stage', [
      command('import', 'import', 'CmdOrCtrl+1'),
      command('curate', 'curate', 'CmdOrCtrl+2'),
      command('train', 'train', 'CmdOrCtrl+3'),
      command('generate', 'generate', 'CmdOrCtrl+4'),
      command('gallery', 'gallery', 'CmdOrCtrl+5'),
      separator,
      command('palette', 'palette', 'CmdOrCtrl+K'),
    ]),
    menu('view', [
      { ...role('zoomIn', 'zoomIn'), accelerator: 'CmdOrCtrl+=' },
      { ...role('zoomOut', 'zoomOut'), accelerator: 'CmdOrCtrl+-' },
      { ...role('actualSize', 'resetZoom'), accelerator: 'CmdOrCtrl+0' },
      separator,
      { ...role('fullScreen', 'togglefullscreen'), accelerator: process.platform === 'darwin' ? 'Ctrl+Command+F' : 'F11' },
    ]),
    menu('window', [role('minimize', 'minimize'), { ...role('close', 'close'), accelerator: 'CmdOrCtrl+W' }]),
    menu('help', [
      command('shortcuts', 'shortcuts', 'F1'),
      { label: label('paper'), click: () => void openExternal('https://arxiv.org/abs/2403.13802') },
    ]),
  ])
}
