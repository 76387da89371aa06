//! The address of Tableau and the name of the site, as pasted from a browser. An address that exists
//! says whether it is Tableau Cloud's, and has a site; that of Tableau Server may be the Default one,
//! whose name is empty.

use url::Url;

use crate::web::address::web_url;

const CLOUD: &str = "online.tableau.com";

/// Where a path stops being Tableau's address and names something in it.
const PAGES: &[&str] = &["t", "views", "api", "signin", "site", "vizportal", "authoring", "newWorkbook"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableauSite {
    /// Without a slash at its end, query or fragment.
    pub(super) base: Url,
    /// The `contentUrl`; empty for the Default site.
    pub(super) site: String,
    pub(super) cloud: bool,
}

impl TableauSite {
    /// The site that is named must be that of the address, if that has one; `otherwise` is for when neither is there.
    pub(super) fn parse(text: &str, named: Option<&str>, otherwise: Option<&str>) -> Result<Self, String> {
        let mut base = web_url(text).map_err(|why| format!("--tableau: {why}"))?;
        if !base.username().is_empty() || base.password().is_some() {
            return Err("--tableau: the address holds a user name or password: take it out and set \
                        TABLEAU_TOKEN_NAME and TABLEAU_TOKEN_VALUE"
                .to_owned());
        }
        let cloud = is_cloud(&base);
        let pasted = pasted_site(&base);
        let site = match (named.map(str::trim), pasted) {
            (Some(named), Some(pasted)) if named != pasted => {
                return Err(format!(
                    "the address names the site {pasted} and --site names {named}: leave one of them out"
                ));
            }
            (Some(named), _) => named.to_owned(),
            (None, Some(pasted)) => pasted,
            (None, None) => otherwise.unwrap_or_default().trim().to_owned(),
        };
        // People call the site without a name so.
        let site = if site.eq_ignore_ascii_case("default") && !cloud { String::new() } else { site };
        if site.contains(|letter: char| letter.is_whitespace() || "/#?&".contains(letter)) {
            return Err(format!(
                "{site:?} is no site's name as addresses have it: it is the part after /site/ in the browser's address"
            ));
        }
        if cloud {
            if base.scheme() == "http" {
                return Err(format!(
                    "Tableau Cloud speaks only https: write https://{}",
                    base.host_str().unwrap_or(CLOUD)
                ));
            }
            let host = base.host_str().unwrap_or_default();
            if [CLOUD, "www.online.tableau.com", "sso.online.tableau.com"].contains(&host) {
                return Err(format!(
                    "{host} is where everybody signs in: open your site in the browser and paste that address, \
                     like https://10ay.online.tableau.com/#/site/NAME/home"
                ));
            }
            if site.is_empty() {
                return Err(
                    "Tableau Cloud needs the site's name: add --site NAME, the part after /site/ in the \
                            browser's address"
                        .to_owned(),
                );
            }
        }
        let kept: Vec<&str> = base
            .path()
            .split('/')
            .filter(|segment| !segment.is_empty())
            .take_while(|segment| !PAGES.contains(segment))
            .collect();
        let path = kept.join("/");
        base.set_path(&path);
        base.set_query(None);
        base.set_fragment(None);
        Ok(Self { base, site, cloud })
    }

    /// Another site of the same Tableau.
    pub(super) fn another(&self, site: &str) -> Result<Self, String> {
        Self::parse(self.base.as_str(), Some(site), None)
    }

    pub(super) fn site_words(&self) -> String {
        if self.site.is_empty() { "the Default site".to_owned() } else { format!("the site {}", self.site) }
    }
}

pub(super) fn is_cloud(url: &Url) -> bool {
    url.host_str().is_some_and(|host| host == CLOUD || host.ends_with(".online.tableau.com"))
}

/// `#/site/NAME/...` of the web pages, `/t/NAME/...` of views.
fn pasted_site(url: &Url) -> Option<String> {
    let fragment = url.fragment().unwrap_or_default();
    let after = |path: &str, word: &str| {
        let mut segments = path.split(['/', '?']).skip_while(|segment| *segment != word);
        segments.nth(1).filter(|name| !name.is_empty()).map(str::to_owned)
    };
    after(fragment, "site").or_else(|| after(url.path(), "t"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_from_the_browser() {
        for (text, site, base, name, cloud) in [
            (
                "https://10ay.online.tableau.com/#/site/sales/home",
                None,
                "https://10ay.online.tableau.com/",
                "sales",
                true,
            ),
            (
                "https://10ay.online.tableau.com/#/site/sales?x=1",
                None,
                "https://10ay.online.tableau.com/",
                "sales",
                true,
            ),
            (
                "10ay.online.tableau.com/t/sales/views/a/b?:iid=1",
                None,
                "https://10ay.online.tableau.com/",
                "sales",
                true,
            ),
            ("10ay.online.tableau.com", Some("sales"), "https://10ay.online.tableau.com/", "sales", true),
            (
                "https://10ay.online.tableau.com/#/site/sales",
                Some("sales"),
                "https://10ay.online.tableau.com/",
                "sales",
                true,
            ),
            ("https://tableau.example.com/", None, "https://tableau.example.com/", "", false),
            (
                "https://tableau.example.com/#/projects",
                Some("Default"),
                "https://tableau.example.com/",
                "",
                false,
            ),
            ("http://127.0.0.1:8000/bi/t/x/views", None, "http://127.0.0.1:8000/bi", "x", false),
            ("https://[::1]:8443/#/site/x/y", None, "https://[::1]:8443/", "x", false),
            (
                "https://online.tableau.com.example.com",
                None,
                "https://online.tableau.com.example.com/",
                "",
                false,
            ),
        ] {
            let parsed = TableauSite::parse(text, site, None).unwrap();
            assert_eq!(
                (parsed.base.as_str(), parsed.site.as_str(), parsed.cloud),
                (base, name, cloud),
                "{text}"
            );
        }
    }

    #[test]
    fn the_site_of_the_address_goes_before_that_of_the_environment() {
        for (text, name) in [("https://t.example/#/site/a", "a"), ("https://t.example", "b")] {
            assert_eq!(TableauSite::parse(text, None, Some("b")).unwrap().site, name);
        }
    }

    #[test]
    fn one_sentence_names_what_to_change() {
        for (text, site, word) in [
            ("https://10ay.online.tableau.com", None, "--site"),
            ("http://10ay.online.tableau.com/#/site/a", None, "https://10ay.online.tableau.com"),
            ("https://online.tableau.com/#/site/a", None, "paste"),
            ("https://sso.online.tableau.com", Some("a"), "paste"),
            ("https://10ay.online.tableau.com/#/site/a", Some("b"), "leave one of them out"),
            ("https://tableau.example.com", Some("My Site"), "/site/"),
            ("https://ann:s3cret@tableau.example.com", None, "TABLEAU_TOKEN_VALUE"),
            ("", None, "no address"),
        ] {
            let error = TableauSite::parse(text, site, None).unwrap_err();
            assert!(error.contains(word) && !error.contains("s3cret"), "{text}: {error}");
        }
    }
}
