//! Tableau Cloud, met as from inside a firm: through a proxy that leads its name to the stand-in, behind
//! a certificate of an authority that the machine believes.

use crate::authority::Authority;
use crate::command::{Run, sentence};
use crate::proxy::Proxy;
use crate::tableau::{Behaviour, Tableau};
use crate::terminator::Terminator;

const HOST: &str = "10ay.online.tableau.com";

struct Cloud {
    tableau: Tableau,
    authority: Authority,
    proxy: Proxy,
    _terminator: Terminator,
}

impl Cloud {
    fn that(behaviour: Behaviour) -> Self {
        let tableau = Tableau::that(behaviour);
        let authority = Authority::new();
        let terminator = Terminator::before(tableau.port(), authority.good(HOST));
        let proxy = Proxy::to(terminator.port);
        Self { tableau, authority, proxy, _terminator: terminator }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let run = Run::new(&["connect", "--tableau", &format!("https://{HOST}/#/site/sales/home")]);
        let file = self.authority.file(run.folder());
        let run = run.env("HTTPS_PROXY", self.proxy.address()).arg("--ca-file").arg(file);
        arguments.iter().fold(run, |run, argument| run.arg(argument)).login()
    }
}

#[test]
fn the_site_of_a_pasted_address_gets_its_connection_through_a_proxy() {
    let cloud = Cloud::that(Behaviour::default());
    let said = cloud.run(&["--skip-checks", "https://tabpy.example.com"]).token().ends_with(0);
    assert!(
        said.contains("Tableau Cloud 2024.1.0 at https://10ay.online.tableau.com, REST API 3.22"),
        "{said}"
    );
    assert_eq!(cloud.tableau.connections().len(), 1);
    assert_eq!(cloud.proxy.asked(), [format!("{HOST}:443")]);
}

#[test]
fn the_machine_s_own_authorities_are_believed_too() {
    let cloud = Cloud::that(Behaviour::default());
    let run = Run::new(&["connect", "--tableau", HOST, "--site", "sales", "--list"]).token();
    let file = cloud.authority.file(run.folder()).display().to_string();
    let run = run.env("https_proxy", cloud.proxy.address()).env("SSL_CERT_FILE", file);
    run.ends_with(0);
}

#[test]
fn nobody_else_is_believed() {
    let cloud = Cloud::that(Behaviour::default());
    let run = Run::new(&["connect", "--tableau", HOST, "--site", "sales", "--list"]).token();
    let said = run.env("HTTPS_PROXY", cloud.proxy.address()).ends_with(8);
    sentence(&said, &["UnknownIssuer", "--ca-file"]);
    assert_eq!(cloud.tableau.calls(), [""; 0]);
}

#[test]
fn a_password_where_a_second_factor_is_asked_for() {
    let cloud = Cloud::that(Behaviour { second_factor: true, ..Behaviour::default() });
    let said = cloud.run(&["--list"]).password().ends_with(4);
    sentence(&said, &["second factor", "TABLEAU_TOKEN_NAME", "401001"]);
}

#[test]
fn a_server_is_judged_by_the_public_s_authorities_alone() {
    // The proxy leads the server's name to the same terminator, whose certificate is not public.
    let cloud = Cloud::that(Behaviour::default());
    let said = cloud.run(&[&format!("https://{HOST}")]).token().ends_with(3);
    assert!(said.contains("FAILED   certificate     the certificate comes from Test Root, whom this machine believes, but not the public"), "{said}");
    assert!(said.contains("Let's Encrypt"), "{said}");
    assert_eq!(cloud.tableau.calls(), [""; 0]);
}
