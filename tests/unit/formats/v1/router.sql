BEGIN TRANSACTION;
CREATE TABLE breakers (
    item TEXT NOT NULL, route TEXT NOT NULL, count INTEGER NOT NULL, since REAL NOT NULL, open INTEGER NOT NULL,
    about TEXT NOT NULL, PRIMARY KEY (item, route)
) WITHOUT ROWID;
CREATE TABLE cooldowns (
    item TEXT NOT NULL, route TEXT NOT NULL, until REAL NOT NULL, PRIMARY KEY (item, route)
) WITHOUT ROWID;
CREATE TABLE decisions (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, repo TEXT NOT NULL, kind TEXT NOT NULL, number INTEGER NOT NULL,
    key TEXT NOT NULL, record TEXT NOT NULL
);
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY, agent TEXT NOT NULL, key TEXT NOT NULL, entry_id TEXT NOT NULL,
    entry BLOB NOT NULL, item TEXT NOT NULL, priority INTEGER NOT NULL, not_before REAL NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('owed', 'done')), at REAL NOT NULL, UNIQUE (agent, key)
);
CREATE TABLE held (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, watch TEXT NOT NULL, record TEXT NOT NULL,
    at REAL NOT NULL, UNIQUE (key, watch)
);
CREATE TABLE members (watch TEXT NOT NULL, node_id TEXT NOT NULL, PRIMARY KEY (watch, node_id)) WITHOUT ROWID;
CREATE TABLE progress (
    feed TEXT NOT NULL, kind TEXT NOT NULL, record TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (feed, kind)
) WITHOUT ROWID;
CREATE TABLE snapshots (
    node_id TEXT PRIMARY KEY, feed TEXT NOT NULL, open INTEGER NOT NULL, busy INTEGER NOT NULL, at REAL NOT NULL,
    record TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE watches (name TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, since REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX snapshots_busy ON snapshots (feed) WHERE busy = 1;
CREATE INDEX deliveries_owed ON deliveries (priority DESC, id) WHERE state = 'owed';
CREATE INDEX deliveries_by_entry ON deliveries (entry_id) WHERE state = 'owed';
CREATE INDEX decisions_by_item ON decisions (repo, number);
DELETE FROM "sqlite_sequence";
COMMIT;
PRAGMA user_version = 2;
