//! Which workbook is meant by a name. Tableau takes luids alone, and lets names be used twice.

use serde_json::Value;

use super::ending::{Code, Outcome, Problem};
use super::report::Report;
use super::session::{Parts, Session};
use super::settings::unknown_form;

/// The longest page that Tableau gives, and more of them than a site has.
const PAGE: &str = "1000";
const MOST_PAGES: usize = 100;

/// The luid of the one workbook of that name; a luid stands for itself.
pub(super) async fn find(session: &mut Session, name: &str, report: &mut Report) -> Outcome<String> {
    if is_luid(name) {
        return Ok(name.to_owned());
    }
    let doing = "look for the workbook";
    let list = named_so(session, name, doing, report).await?;
    let named: Vec<&Value> = list.iter().filter(|workbook| workbook["name"] == *name).collect();
    match named.as_slice() {
        [] => Err(Problem::new(
            Code::NotFound,
            format!(
                "the site has no workbook {name} that this user sees: check --workbook, whose case counts"
            ),
        )),
        [one] => one["id"].as_str().map(str::to_owned).ok_or_else(|| unknown_form(doing)),
        several => {
            let each: Vec<String> = several
                .iter()
                .map(|workbook| {
                    let (id, project) = (&workbook["id"], &workbook["project"]["name"]);
                    format!("{} in {}", id.as_str().unwrap_or("?"), project.as_str().unwrap_or("?"))
                })
                .collect();
            Err(Problem::new(
                Code::NotFound,
                format!(
                    "{} workbooks are called {name}: give the id of one to --workbook: {}",
                    several.len(),
                    each.join(", ")
                ),
            ))
        }
    }
}

/// Those of the site that may have the name.
async fn named_so(
    session: &mut Session,
    name: &str,
    doing: &str,
    report: &mut Report,
) -> Outcome<Vec<Value>> {
    let path = format!("/api/{}/sites/{}/workbooks", session.version(), session.site_id);
    let filter = format!("name:eq:{name}");
    let mut all = Vec::new();
    for page in 1..=MOST_PAGES {
        let number = page.to_string();
        let mut query = vec![("pageSize", PAGE), ("pageNumber", number.as_str())];
        // What parts filters from each other can't be said in a filter's value.
        if !name.contains([',', ':', '&']) {
            query.push(("filter", filter.as_str()));
        }
        let found =
            session.read(&path, Parts { query: Some(&query), ..Parts::default() }, doing, report).await?;
        let Value::Object(workbooks) = &found["workbooks"] else { return Err(unknown_form(doing)) };
        // A page without any has no list.
        let Some(list) = workbooks.get("workbook") else { break };
        let list = list.as_array().ok_or_else(|| unknown_form(doing))?;
        all.extend(list.iter().cloned());
        let total = &found["pagination"]["totalAvailable"];
        let total = total.as_u64().or_else(|| total.as_str()?.parse().ok()).unwrap_or_default();
        if list.is_empty() || all.len() as u64 >= total {
            break;
        }
    }
    Ok(all)
}

/// 8-4-4-4-12 hexadecimal digits.
fn is_luid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_luid_is_told_from_a_name() {
        assert!(is_luid("1f2f3e4e-5d6d-7c8c-9b0b-1a2a3f4f5e6e"));
        for name in ["Sales", "", "1f2f3e4e-5d6d-7c8c-9b0b-1a2a3f4f5e6x", "1f2f3e4e5d6d7c8c9b0b1a2a3f4f5e6e"]
        {
            assert!(!is_luid(name), "{name}");
        }
    }
}
