//! A row of `tabpy_versions`, and the version that it stands for. What a newer server or somebody's hand has
//! written there may make no sense: that is an error, which names the column.

use crate::catalogue::Content;
use crate::store::stored::{About, Stored};

/// A row of `tabpy_versions`.
pub(super) struct Columns {
    pub(super) name: String,
    pub(super) version: i64,
    pub(super) kind: String,
    pub(super) object: Option<String>,
    pub(super) function: Option<String>,
    pub(super) target: Option<String>,
    pub(super) python: Option<String>,
    pub(super) uuid: String,
    pub(super) description: String,
    pub(super) docstring: String,
    pub(super) schema: Option<String>,
    pub(super) is_public: bool,
    pub(super) dependencies: String,
    pub(super) size: i64,
    pub(super) deployed_by: Option<String>,
    pub(super) creation_time: i64,
    pub(super) last_modified_time: i64,
    pub(super) deployed_time: i64,
}

macro_rules! stored {
    ($row:expr) => {
        read(Columns {
            name: $row.try_get("name")?,
            version: $row.try_get("version")?,
            kind: $row.try_get("kind")?,
            object: $row.try_get("object")?,
            function: $row.try_get("function")?,
            target: $row.try_get("target")?,
            python: $row.try_get("python")?,
            uuid: $row.try_get("uuid")?,
            description: $row.try_get("description")?,
            docstring: $row.try_get("docstring")?,
            schema: $row.try_get("schema")?,
            is_public: $row.try_get("is_public")?,
            dependencies: $row.try_get("dependencies")?,
            size: $row.try_get("size")?,
            deployed_by: $row.try_get("deployed_by")?,
            creation_time: $row.try_get("creation_time")?,
            last_modified_time: $row.try_get("last_modified_time")?,
            deployed_time: $row.try_get("deployed_time")?,
        })
    };
}
pub(super) use stored;

pub(super) fn read(columns: Columns) -> Result<Stored, sqlx::Error> {
    let wrong = |what: &str| {
        sqlx::Error::Decode(format!("{what} in table tabpy_versions is missing or wrong").into())
    };
    let content = match columns.kind.as_str() {
        "archive" => Content::Archive {
            object: columns.object.ok_or_else(|| wrong("object"))?,
            python: columns.python,
        },
        "source" => Content::Source {
            object: columns.object.ok_or_else(|| wrong("object"))?,
            function: columns.function.ok_or_else(|| wrong("function"))?,
        },
        "alias" => Content::Alias { target: columns.target.ok_or_else(|| wrong("target"))? },
        _ => return Err(wrong("kind")),
    };
    Ok(Stored {
        name: columns.name,
        version: columns.version.try_into().map_err(|_| wrong("version"))?,
        content,
        about: About {
            description: columns.description,
            docstring: columns.docstring,
            schema: columns.schema,
            is_public: columns.is_public,
            dependencies: serde_json::from_str(&columns.dependencies).map_err(|_| wrong("dependencies"))?,
        },
        uuid: columns.uuid,
        size: columns.size.try_into().map_err(|_| wrong("size"))?,
        deployed_by: columns.deployed_by,
        creation_time: columns.creation_time,
        last_modified_time: columns.last_modified_time,
        deployed_time: columns.deployed_time,
    })
}

pub(super) fn write(stored: &Stored) -> Columns {
    let (kind, object, function, target, python) = match &stored.content {
        Content::Archive { object, python } => ("archive", Some(object), None, None, python.clone()),
        Content::Source { object, function } => ("source", Some(object), Some(function.clone()), None, None),
        Content::Alias { target } => ("alias", None, None, Some(target.clone()), None),
    };
    let about = stored.about.clone().plain();
    Columns {
        name: stored.name.clone(),
        version: stored.version.into(),
        kind: kind.to_owned(),
        object: object.cloned(),
        function,
        target,
        python,
        uuid: stored.uuid.clone(),
        description: about.description,
        docstring: about.docstring,
        schema: about.schema,
        is_public: about.is_public,
        // A list of texts can be written.
        dependencies: serde_json::to_string(&about.dependencies).unwrap_or_default(),
        size: i64::try_from(stored.size).unwrap_or(i64::MAX),
        deployed_by: stored.deployed_by.clone(),
        creation_time: stored.creation_time,
        last_modified_time: stored.last_modified_time,
        deployed_time: stored.deployed_time,
    }
}
