//! Functions on both servers: TabPy gets them from its own client, this server finds them in its folder.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::case::{self, Content};
use crate::load::{self, Exchange, Load};
use crate::server::{Product, Server, package_folder};

/// Deploys as `Client.deploy` does, which would wait a second for each one.
const DEPLOY: &str = r#"
import json, sys, time
from tabpy.tabpy_tools.client import Client
from tabpy.tabpy_tools.rest_client import Endpoint
client = Client(sys.argv[1])
sources = json.loads(sys.argv[2])
for source in sources:
    names = {}
    exec(source, names)
    name, function = next((n, f) for n, f in names.items() if n.startswith("add_one"))
    about = client._gen_endpoint(name, function, "")
    client._upload_endpoint(about)
    client._service.add_endpoint(Endpoint(**about))
for _ in range(300):
    if [one["status"] for one in client.get_status().values()].count("LoadSuccessful") == len(sources):
        break
    time.sleep(0.1)
else:
    sys.exit("the functions were not loaded")
"#;

/// Writes the files of functions that this server publishes.
pub(crate) fn write(folder: &Path, count: usize) -> Result<()> {
    std::fs::create_dir(folder)?;
    for number in 0..count {
        std::fs::write(folder.join(format!("add_one_{number}.py")), case::function(number))?;
    }
    Ok(())
}

/// Returns when the server has its functions.
pub(crate) fn deploy(server: &Server, product: Product, count: usize) -> Result<()> {
    if count == 0 {
        return Ok(());
    }
    if product == Product::TabPy {
        let sources: Vec<String> = (0..count).map(case::function).collect();
        let output = Command::new(package_folder().join(".venv-tabpy/bin/python"))
            .args(["-c", DEPLOY, &format!("http://{}/", server.address), &serde_json::to_string(&sources)?])
            .output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    wait_for(server)
}

fn wait_for(server: &Server) -> Result<()> {
    let (content, limit) = (Content::Query, Duration::from_secs(60));
    let request = server.request(content.path(), &content.body());
    let exchange = Exchange { address: server.address, request: &request, answer: &content.answer() };
    let once = Load { connections: 1, time: Duration::ZERO, least: 1 };
    let began = Instant::now();
    loop {
        match load::run(&exchange, &once) {
            Ok(_) => return Ok(()),
            Err(error) if began.elapsed() > limit => {
                return Err(error).context("the function does not answer");
            }
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}
