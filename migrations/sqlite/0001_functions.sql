-- Raised by every change, in the same transaction.
CREATE TABLE tabpy_generation (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    generation INTEGER NOT NULL
);
INSERT INTO tabpy_generation VALUES (1, 0);

-- A function's newest version is the one in force.
CREATE TABLE tabpy_versions (
    name TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    kind TEXT NOT NULL CHECK (kind IN ('archive', 'source', 'alias')),
    -- The digest of its files; an alias has none.
    object TEXT CHECK ((object IS NULL) = (kind = 'alias')),
    -- Within a source.
    function TEXT CHECK ((function IS NOT NULL) = (kind = 'source')),
    -- Of an alias.
    target TEXT CHECK ((target IS NOT NULL) = (kind = 'alias')),
    -- The minor version that can read an archive, where it is known.
    python TEXT,
    uuid TEXT NOT NULL,
    description TEXT NOT NULL,
    docstring TEXT NOT NULL,
    -- JSON.
    schema TEXT,
    is_public BOOLEAN NOT NULL,
    -- A JSON list of names.
    dependencies TEXT NOT NULL,
    size INTEGER NOT NULL,
    deployed_by TEXT,
    -- Seconds since 1970: of the function, of what describes it, and of this version.
    creation_time INTEGER NOT NULL,
    last_modified_time INTEGER NOT NULL,
    deployed_time INTEGER NOT NULL,
    PRIMARY KEY (name, version)
);

CREATE TABLE tabpy_files (
    object TEXT NOT NULL,
    path TEXT NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (object, path)
);
