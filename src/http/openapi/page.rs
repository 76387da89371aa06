//! The same description for people: one page without JavaScript, made from the document.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde_json::Value;

use super::routes;
use crate::http::assets::DIGEST;
use crate::http::pages;
use crate::http::service::Service;

#[derive(Template)]
#[template(path = "docs.html")]
struct Page<'service> {
    name: &'service str,
    about: String,
    base: &'service str,
    assets: &'static str,
    groups: Vec<Group>,
}

struct Group {
    name: String,
    about: String,
    operations: Vec<Operation>,
}

struct Operation {
    id: String,
    method: String,
    path: String,
    summary: String,
    parameters: Vec<Row>,
    /// Kind and example.
    bodies: Vec<(String, String)>,
    answers: Vec<Row>,
}

/// A name, what it is, and what it means.
struct Row(String, String, String);

pub(in crate::http) async fn page(request: HttpRequest, service: web::Data<Service>) -> HttpResponse {
    let document = match serde_json::to_value(routes(&service)) {
        Ok(document) => document,
        Err(error) => return super::unmade(error),
    };
    let page = Page {
        name: &service.name,
        about: text(&document["info"]["description"]),
        base: &service.subdirectory,
        assets: &DIGEST,
        groups: list(&document["tags"]).iter().map(|tag| group(tag, &document)).collect(),
    };
    match page.render() {
        Ok(page) => pages::html(&request, &page),
        Err(error) => super::unmade(error),
    }
}

fn group(tag: &Value, document: &Value) -> Group {
    let mut operations = Vec::new();
    for (path, methods) in members(&document["paths"]) {
        for (method, operation) in members(methods) {
            if list(&operation["tags"]).contains(&tag["name"]) {
                operations.push(self::operation(path, method, operation, document));
            }
        }
    }
    Group { name: text(&tag["name"]), about: text(&tag["description"]), operations }
}

fn operation(path: &str, method: &str, operation: &Value, document: &Value) -> Operation {
    let described = |of: &Value| text(&of["description"]);
    let parameters = list(&operation["parameters"]).iter().map(|parameter| {
        let place = text(&parameter["in"]);
        let needed = if parameter["required"] == true { "required" } else { "optional" };
        Row(text(&parameter["name"]), format!("{place}, {needed}"), described(parameter))
    });
    let bodies = members(&operation["requestBody"]["content"])
        .map(|(kind, body)| (kind.clone(), example(body, document)));
    let answers = members(&operation["responses"]).map(|(status, answer)| {
        let kind = members(&answer["content"]).next();
        let kind = kind.map(|(kind, body)| kind_of(&body["schema"]).unwrap_or_else(|| kind.clone()));
        Row(status.clone(), kind.unwrap_or_default(), described(answer))
    });
    Operation {
        id: text(&operation["operationId"]),
        method: method.to_ascii_uppercase(),
        path: path.to_owned(),
        summary: format!("{} {}", text(&operation["summary"]), described(operation)).trim().to_owned(),
        parameters: parameters.collect(),
        bodies: bodies.collect(),
        answers: answers.collect(),
    }
}

/// Of the body itself, or of the type that it is.
fn example(body: &Value, document: &Value) -> String {
    let named = kind_of(&body["schema"]).map(|name| &document["components"]["schemas"][name]["example"]);
    match [Some(&body["example"]), named].into_iter().flatten().find(|example| !example.is_null()) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => serde_json::to_string_pretty(value).unwrap_or_default(),
        None => String::new(),
    }
}

fn kind_of(schema: &Value) -> Option<String> {
    schema["$ref"].as_str()?.rsplit('/').next().map(str::to_owned)
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
