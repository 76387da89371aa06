//! What bodies look like, for the description of the API. They are written and read elsewhere, some byte by
//! byte as TabPy writes them; tests hold the answers against this.

#![expect(dead_code, reason = "these types describe; nothing makes them")]

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::openapi::{Content, ContentBuilder, Ref, RefOr, Response, ResponseBuilder, Responses};
use utoipa::{IntoResponses, ToSchema};

/// Every error.
#[derive(ToSchema)]
#[schema(example = json!({"message": "Error processing script", "info": "ZeroDivisionError : division by zero"}))]
pub(in crate::http) struct ErrorBody {
    /// What happened.
    message: String,
    /// What to do about it; `{}` where there is nothing to add.
    #[schema(value_type = Value)]
    info: Value,
}

/// What any route may answer.
pub(in crate::http) struct Refused;

impl IntoResponses for Refused {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        errors([
            ("401", "Name and password are missing or wrong"),
            ("403", "Called by a web page of another site, or without HTTPS behind a platform's edge"),
            ("406", "Name and password were given to a server without authentication"),
            ("503", "Too much at once, or not ready; Retry-After says when to ask again"),
        ])
    }
}

/// What any route that reads a body may answer, too.
pub(in crate::http) struct BodyRefused;

impl IntoResponses for BodyRefused {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut all = Refused::responses();
        all.extend(errors([
            ("400", "The request is not what it should be; the body says what is wrong"),
            ("408", "The body came too slowly, or what was asked for took too long"),
            ("413", "The body is too large"),
        ]));
        all
    }
}

/// What changes of deployed functions may answer, too.
pub(in crate::http) struct ChangeRefused;

impl IntoResponses for ChangeRefused {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut all = BodyRefused::responses();
        all.extend(errors([
            ("404", "There is no such function or version"),
            ("409", "It is being changed by somebody else"),
            ("422", "The function does not load; what worked stays in force"),
            ("500", "It could not be kept"),
        ]));
        all
    }
}

fn errors<const N: usize>(all: [(&str, &str); N]) -> BTreeMap<String, RefOr<Response>> {
    let content =
        || -> Content { ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorBody"))).build() };
    all.into_iter()
        .map(|(status, description)| {
            let response =
                ResponseBuilder::new().description(description).content("application/json", content());
            (status.to_owned(), RefOr::T(response.build()))
        })
        .collect::<Responses>()
        .responses
        .into_iter()
        .collect()
}

#[derive(ToSchema)]
pub(in crate::http) struct ServerInfo {
    description: String,
    creation_time: String,
    state_path: String,
    /// Of the TabPy whose API is spoken.
    server_version: String,
    name: String,
    versions: Versions,
}

#[derive(ToSchema)]
struct Versions {
    v1: Version1,
}

#[derive(ToSchema)]
struct Version1 {
    features: Features,
}

#[derive(ToSchema)]
struct Features {
    /// Absent where no password is asked for.
    #[schema(value_type = Value)]
    authentication: Option<Value>,
    evaluate_enabled: bool,
    gzip_enabled: bool,
    arrow_enabled: bool,
}

/// A script and its columns.
#[derive(ToSchema)]
#[schema(example = json!({"script": "return [x * 2 for x in _arg1]", "data": {"_arg1": [1, 2, 3]}}))]
pub(in crate::http) struct Evaluate {
    /// The body of a function whose parameters are the columns.
    script: String,
    /// `_arg1`, `_arg2` and so on, without a gap.
    #[schema(value_type = Object)]
    data: Value,
}

/// What a function is called with.
#[derive(ToSchema)]
#[schema(example = json!({"data": {"x": [1, 2], "y": [3, 4]}}))]
pub(in crate::http) struct Query {
    /// Arguments by name, or a list of them in their order.
    data: Arguments,
}

// What serde is told here, the schema is made from.
#[derive(serde::Deserialize, ToSchema)]
#[serde(untagged)]
enum Arguments {
    Named(BTreeMap<String, Value>),
    Positional(Vec<Value>),
}

#[derive(ToSchema)]
#[schema(example = json!({"response": [4, 6], "version": 1, "model": "add", "uuid": "5d6c7e1a-0b53-4f4c-8f0a-0c1f2b0a9d11"}))]
pub(in crate::http) struct Queried {
    /// What the function returned.
    #[schema(value_type = Value)]
    response: Value,
    version: u32,
    model: String,
    uuid: String,
}

/// A deployed function as TabPy's client knows it.
#[derive(ToSchema)]
pub(in crate::http) struct Endpoint {
    description: String,
    docstring: String,
    r#type: Kind,
    version: u32,
    dependencies: Vec<String>,
    /// Of an alias.
    #[schema(required)]
    target: Option<String>,
    /// Seconds since 1970.
    creation_time: i64,
    last_modified_time: i64,
    #[schema(value_type = Value)]
    schema: Value,
    is_public: bool,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum Kind {
    Model,
    Alias,
}

/// What TabPy's client sends after it has put an archive into the upload folder.
#[derive(ToSchema)]
#[schema(example = json!({"name": "sum", "type": "alias", "target": "add", "description": "another name for add"}))]
pub(in crate::http) struct NewEndpoint {
    name: String,
    version: Option<u32>,
    description: Option<String>,
    docstring: Option<String>,
    r#type: Option<Kind>,
    dependencies: Option<Vec<String>>,
    /// Of an alias.
    target: Option<String>,
    #[schema(value_type = Value)]
    schema: Option<Value>,
    /// Of a model.
    src_path: Option<String>,
    is_public: Option<bool>,
}

#[derive(ToSchema)]
#[schema(example = json!({"description": "adds two columns"}))]
pub(in crate::http) struct ChangedEndpoint {
    description: Option<String>,
    docstring: Option<String>,
    r#type: Option<Kind>,
    dependencies: Option<Vec<String>>,
    target: Option<String>,
    #[schema(value_type = Value)]
    schema: Option<Value>,
    src_path: Option<String>,
    is_public: Option<bool>,
    /// `true` makes what `src_path` holds the next version.
    should_update_version: Option<bool>,
}

#[derive(ToSchema)]
pub(in crate::http) struct StatusLine {
    version: u32,
    r#type: Kind,
    status: LoadStatus,
    #[schema(required)]
    last_error: Option<String>,
}

#[derive(ToSchema)]
#[schema(as = Load)]
enum LoadStatus {
    #[schema(rename = "LoadInProgress")]
    InProgress,
    #[schema(rename = "LoadSuccessful")]
    Successful,
    #[schema(rename = "LoadFailed")]
    Failed,
}

#[derive(ToSchema)]
pub(in crate::http) struct Destination {
    path: String,
}

/// What cloudpickle made of a function.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
pub(in crate::http) struct Archive(Vec<u8>);

#[derive(ToSchema)]
pub(in crate::http) struct FunctionList {
    functions: Vec<Function>,
}

/// A deployed function with its versions.
#[derive(ToSchema)]
pub(in crate::http) struct Function {
    name: String,
    version: u32,
    status: LoadStatus,
    #[schema(required)]
    last_error: Option<String>,
    /// Where it is called.
    url: String,
    origin: Origin,
    /// Of the `functions` folder.
    #[schema(nullable = false)]
    file: Option<String>,
    r#type: Kind,
    description: String,
    docstring: String,
    #[schema(value_type = Value)]
    schema: Value,
    is_public: bool,
    dependencies: Vec<String>,
    #[schema(required)]
    target: Option<String>,
    /// Seconds since 1970.
    creation_time: i64,
    last_modified_time: i64,
    /// A newer version that did not load.
    #[schema(nullable = false)]
    last_attempt: Option<Attempt>,
    versions: Vec<FunctionVersion>,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum Origin {
    Deployed,
    Folder,
}

#[derive(ToSchema)]
struct Attempt {
    version: u32,
    status: LoadStatus,
    #[schema(required)]
    last_error: Option<String>,
}

#[derive(ToSchema)]
pub(in crate::http) struct FunctionVersions {
    name: String,
    /// The newest first.
    versions: Vec<FunctionVersion>,
}

#[derive(ToSchema)]
struct FunctionVersion {
    version: u32,
    current: bool,
    deployed_time: i64,
    #[schema(required)]
    deployed_by: Option<String>,
    /// Bytes.
    size: u64,
    /// Source, archive or alias.
    kind: String,
    description: String,
}

#[derive(ToSchema)]
pub(in crate::http) struct Health {
    status: String,
}
