import { rmSync } from 'node:fs'
import Database from 'better-sqlite3'
import { StudioError } from '#contracts/errors.ts'

/** 'ZGMA' */
const applicationId = 0x5a474d41

/** Each entry takes the schema one version further; they are never changed once released. */
const migrations: readonly string[] = [
  `
  CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    payload TEXT NOT NULL,
    state TEXT NOT NULL,
    lane TEXT NOT NULL,
    position REAL NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 0,
    fence INTEGER NOT NULL DEFAULT 0,
    createdAt TEXT NOT NULL,
    startedAt TEXT,
    endedAt TEXT,
    progress TEXT,
    result TEXT,
    error TEXT,
    retryOf TEXT
  ) STRICT;
  CREATE INDEX jobsByState ON jobs (state, lane, position);
  CREATE TABLE pictures (
    id TEXT PRIMARY KEY,
    jobId TEXT,
    idx INTEGER NOT NULL,
    createdAt TEXT NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    file TEXT NOT NULL,
    settings TEXT NOT NULL,
    prompt TEXT NOT NULL,
    modelName TEXT NOT NULL,
    checkpointHash TEXT NOT NULL,
    rating INTEGER NOT NULL DEFAULT 0,
    pick TEXT NOT NULL DEFAULT 'none',
    trashed INTEGER NOT NULL DEFAULT 0,
    UNIQUE (jobId, idx)
  ) STRICT;
  CREATE INDEX picturesByTime ON pictures (trashed, createdAt DESC, idx DESC);
  CREATE TABLE runs (id TEXT PRIMARY KEY, name TEXT NOT NULL, createdAt TEXT NOT NULL, jobId TEXT, state TEXT NOT NULL, snapshot TEXT NOT NULL, recipe TEXT NOT NULL) STRICT;
  CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  `,
  // Starts of a job that did not come to an orderly end.
  `ALTER TABLE jobs ADD COLUMN lost INTEGER NOT NULL DEFAULT 0`,
  // The data set: what became of each file, its items with what was found, said and measured of them, and the edits that can be taken back.
  `
  CREATE TABLE files (
    position INTEGER PRIMARY KEY,
    root TEXT NOT NULL,
    source TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    detail TEXT,
    fileHash TEXT,
    copied TEXT,
    itemId TEXT,
    UNIQUE (root, source)
  ) STRICT;
  CREATE INDEX filesByState ON files (state);
  CREATE INDEX filesByItem ON files (itemId);
  CREATE TABLE items (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    here INTEGER NOT NULL DEFAULT 0,
    source TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL DEFAULT 'used',
    reason TEXT,
    width INTEGER NOT NULL DEFAULT 1,
    height INTEGER NOT NULL DEFAULT 1,
    shard INTEGER NOT NULL DEFAULT 0,
    slot INTEGER NOT NULL DEFAULT 0,
    pixelHash TEXT NOT NULL DEFAULT '',
    splitRank TEXT NOT NULL DEFAULT '',
    autoSplit TEXT NOT NULL DEFAULT 'train',
    foundSplit TEXT,
    foundCaption TEXT NOT NULL DEFAULT '',
    foundCaptions TEXT NOT NULL DEFAULT '[]',
    foundTags TEXT NOT NULL DEFAULT '[]',
    foundAuthor TEXT NOT NULL DEFAULT '',
    foundLicence TEXT NOT NULL DEFAULT '',
    foundOrigin TEXT NOT NULL DEFAULT '',
    blur REAL,
    brightness REAL,
    clippedDark REAL,
    clippedBright REAL,
    focusX REAL,
    focusY REAL,
    looks TEXT
  ) STRICT;
  -- Narrow, so that an edit of all items writes little.
  CREATE TABLE marks (
    row INTEGER PRIMARY KEY,
    setRating INTEGER,
    setPick TEXT,
    setSplit TEXT,
    setCrop TEXT,
    setConsent TEXT,
    setLicence TEXT,
    setAuthor TEXT,
    setOrigin TEXT,
    setTags TEXT,
    setCaption TEXT,
    setCaptions TEXT,
    textStale INTEGER NOT NULL DEFAULT 1
  ) STRICT;
  CREATE TABLE alike (row INTEGER PRIMARY KEY, nearest INTEGER, duplicate TEXT NOT NULL, duplicateGroup INTEGER) STRICT;
  CREATE INDEX alikeByGroup ON alike (duplicateGroup) WHERE duplicateGroup IS NOT NULL;
  -- An item as it counts: what is said goes before what was found.
  CREATE VIEW curated AS SELECT
    items.*, setRating, setPick, setSplit, setCrop, setConsent, setLicence, setAuthor, setOrigin, setTags, setCaption, setCaptions, textStale,
    coalesce(setRating, 0) AS rating,
    coalesce(setPick, 'none') AS pick,
    coalesce(setSplit, foundSplit, autoSplit) AS split,
    coalesce(setCrop, '{"kind":"center"}') AS crop,
    coalesce(setConsent, 'unknown') AS consent,
    coalesce(setLicence, foundLicence) AS licence,
    coalesce(setAuthor, foundAuthor) AS author,
    coalesce(setOrigin, foundOrigin) AS origin,
    coalesce(setTags, foundTags) AS tags,
    coalesce(setCaption, foundCaption) AS caption,
    coalesce(setCaptions, foundCaptions) AS captions,
    width * 1.0 / height AS aspect,
    width * height / 1e6 AS megapixels,
    coalesce(json_extract(setCrop, '$.width'), width) AS frameWidth,
    coalesce(json_extract(setCrop, '$.height'), height) AS frameHeight,
    nearest, coalesce(duplicate, 'none') AS duplicate, duplicateGroup
    FROM items JOIN marks ON marks.row = items.row LEFT JOIN alike ON alike.row = items.row;
  -- The snapshot's name, leaf by leaf; a leaf that changed is left out until somebody asks.
  CREATE TABLE leaves (prefix TEXT PRIMARY KEY, hash TEXT NOT NULL) STRICT;
  CREATE VIRTUAL TABLE itemText USING fts5 (caption, captions, tags, source, content='', contentless_delete=1, tokenize='unicode61 remove_diacritics 2');
  CREATE TABLE edits (
    seq INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    fields TEXT NOT NULL,
    items INTEGER NOT NULL,
    at TEXT NOT NULL,
    state TEXT NOT NULL
  ) STRICT;
  CREATE INDEX editsByState ON edits (state, seq);
  `,
  // Repeats, concept and consent as sources tell them. All of the data set's files are read again, since they were not kept before.
  `
  ALTER TABLE items ADD COLUMN foundRepeats INTEGER;
  ALTER TABLE items ADD COLUMN foundConcept TEXT NOT NULL DEFAULT '';
  ALTER TABLE items ADD COLUMN foundConsent TEXT;
  DROP VIEW curated;
  CREATE VIEW curated AS SELECT
    items.*, setRating, setPick, setSplit, setCrop, setConsent, setLicence, setAuthor, setOrigin, setTags, setCaption, setCaptions, textStale,
    coalesce(setRating, 0) AS rating,
    coalesce(setPick, 'none') AS pick,
    coalesce(setSplit, foundSplit, autoSplit) AS split,
    coalesce(setCrop, '{"kind":"center"}') AS crop,
    coalesce(setConsent, foundConsent, 'unknown') AS consent,
    coalesce(setLicence, foundLicence) AS licence,
    coalesce(setAuthor, foundAuthor) AS author,
    coalesce(setOrigin, foundOrigin) AS origin,
    coalesce(setTags, foundTags) AS tags,
    coalesce(setCaption, foundCaption) AS caption,
    coalesce(setCaptions, foundCaptions) AS captions,
    width * 1.0 / height AS aspect,
    width * height / 1e6 AS megapixels,
    coalesce(json_extract(setCrop, '$.width'), width) AS frameWidth,
    coalesce(json_extract(setCrop, '$.height'), height) AS frameHeight,
    nearest, coalesce(duplicate, 'none') AS duplicate, duplicateGroup
    FROM items JOIN marks ON marks.row = items.row LEFT JOIN alike ON alike.row = items.row;
  -- A mark that no file bears out.
  UPDATE facts SET value = '{"offset":0,"before":"anew"}' WHERE name = 'dataset.ledger';
  `,
  // Crops that are real: shard, slot and pixelHash are of the pixels that are trained on now, found* of those that the import made.
  `
  ALTER TABLE items ADD COLUMN foundShard INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE items ADD COLUMN foundSlot INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE items ADD COLUMN foundPixelHash TEXT NOT NULL DEFAULT '';
  ALTER TABLE items ADD COLUMN background TEXT NOT NULL DEFAULT '#ffffff';
  ALTER TABLE items ADD COLUMN madeCrop TEXT;
  ALTER TABLE items ADD COLUMN madeArea TEXT;
  ALTER TABLE items ADD COLUMN madeAway TEXT;
  UPDATE items SET foundShard = shard, foundSlot = slot, foundPixelHash = pixelHash;
  -- All pixels that were ever made of an item, to come back to them without its original.
  CREATE TABLE cropped (
    id TEXT NOT NULL,
    crop TEXT NOT NULL,
    area TEXT,
    shard INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    pixelHash TEXT NOT NULL,
    PRIMARY KEY (id, crop)
  ) STRICT;
  CREATE INDEX croppedByPlace ON cropped (shard, slot);
  `,
  // Clips are items: what they have beyond a picture, and the row in `files` of the video that they were cut from.
  `
  ALTER TABLE items ADD COLUMN video INTEGER;
  ALTER TABLE items ADD COLUMN frames INTEGER;
  ALTER TABLE items ADD COLUMN frameRate REAL;
  ALTER TABLE items ADD COLUMN stride INTEGER;
  ALTER TABLE items ADD COLUMN startSeconds REAL;
  ALTER TABLE items ADD COLUMN firstFrame INTEGER;
  ALTER TABLE items ADD COLUMN lastFrame INTEGER;
  ALTER TABLE items ADD COLUMN clipShard TEXT;
  ALTER TABLE items ADD COLUMN clipEdge INTEGER;
  ALTER TABLE items ADD COLUMN seconds REAL GENERATED ALWAYS AS (frames / frameRate) VIRTUAL;
  ALTER TABLE items ADD COLUMN kind TEXT GENERATED ALWAYS AS (iif(frames IS NULL, 'picture', 'clip')) VIRTUAL;
  CREATE INDEX itemsByVideo ON items (video) WHERE video IS NOT NULL;
  `,
  // How often an epoch shows an item, as people say it. Names of snapshots depend on it.
  `
  ALTER TABLE marks ADD COLUMN setRepeats INTEGER;
  DROP VIEW curated;
  CREATE VIEW curated AS SELECT
    items.*, setRating, setPick, setSplit, setCrop, setConsent, setLicence, setAuthor, setOrigin, setTags, setCaption, setCaptions, setRepeats, textStale,
    coalesce(setRating, 0) AS rating,
    coalesce(setPick, 'none') AS pick,
    coalesce(setSplit, foundSplit, autoSplit) AS split,
    coalesce(setCrop, '{"kind":"center"}') AS crop,
    coalesce(setConsent, foundConsent, 'unknown') AS consent,
    coalesce(setLicence, foundLicence) AS licence,
    coalesce(setAuthor, foundAuthor) AS author,
    coalesce(setOrigin, foundOrigin) AS origin,
    coalesce(setTags, foundTags) AS tags,
    coalesce(setCaption, foundCaption) AS caption,
    coalesce(setCaptions, foundCaptions) AS captions,
    coalesce(setRepeats, foundRepeats, 1) AS repeats,
    width * 1.0 / height AS aspect,
    width * height / 1e6 AS megapixels,
    coalesce(json_extract(setCrop, '$.width'), width) AS frameWidth,
    coalesce(json_extract(setCrop, '$.height'), height) AS frameHeight,
    nearest, coalesce(duplicate, 'none') AS duplicate, duplicateGroup
    FROM items JOIN marks ON marks.row = items.row LEFT JOIN alike ON alike.row = items.row;
  DELETE FROM leaves;
  `,
  // Lettering that may be a watermark.
  `
  ALTER TABLE items ADD COLUMN watermark REAL;
  `,
]

/** Pages kept in memory: a data set of 100,000 items is looked through without going to the disk. */
const cacheKiB = 64 * 1024

export type Db = Database.Database

/** A full disk, as the studio's own sentence; any other failure as it is. */
export function explainFull(error: unknown): unknown {
  if (!(error instanceof Database.SqliteError) || error.code !== 'SQLITE_FULL') return error
  return new StudioError(
    'disk-full',
    "The disk is full: the project's index could not be written. Free some space and go on; nothing was lost.",
    {
      cause: error,
    },
  )
}

/**
 * A project's index and journal. What is acknowledged is on the disk (WAL, synchronous FULL).
 *
 * @throws StudioError corrupt-file when the file is damaged, of another program or of a newer studio.
 */
export function openDatabase(path: string): Db {
  const db = new Database(path, { timeout: 5000 })
  try {
    db.pragma('journal_mode = WAL')
    db.pragma('synchronous = FULL')
    db.pragma('foreign_keys = ON')
    db.pragma('trusted_schema = OFF')
    db.pragma('temp_store = MEMORY')
    db.pragma(`cache_size = -${cacheKiB}`)
    check(db, path)
    migrate(db, path)
    return db
  } catch (error) {
    db.close()
    if (error instanceof StudioError) throw error
    throw new StudioError(
      'corrupt-file',
      `The project's index "${path}" cannot be opened (${(error as Error).message}). Move it away: the studio builds a new one from the project's files.`,
      { cause: error },
    )
  }
}

function check(db: Db, path: string): void {
  const id = db.pragma('application_id', { simple: true })
  const version = db.pragma('user_version', { simple: true }) as number
  if (id !== 0 && id !== applicationId)
    throw new StudioError('corrupt-file', `"${path}" is a database of another program. Choose the folder of a ZigMa project.`)
  if (version > migrations.length) {
    throw new StudioError(
      'corrupt-file',
      `The project was written by a newer studio (index version ${version}, this one knows ${migrations.length}). Update the studio and open it again.`,
    )
  }
  if (db.pragma('quick_check', { simple: true }) !== 'ok')
    throw new StudioError(
      'corrupt-file',
      `The project's index "${path}" is damaged. Move it away: the studio builds a new one from the project's files.`,
    )
}

function migrate(db: Db, path: string): void {
  const version = db.pragma('user_version', { simple: true }) as number
  if (version === migrations.length) return
  if (version > 0) {
    const backup = `${path}.v${version}.backup`
    rmSync(backup, { force: true }) // of a migration that was cut short
    db.prepare('VACUUM INTO ?').run(backup)
  }
  db.transaction(() => {
    for (const sql of migrations.slice(version)) db.exec(sql)
    db.pragma(`application_id = ${applicationId}`)
    db.pragma(`user_version = ${migrations.length}`)
  })()
}
