//! Functions on both servers: TabPy gets them from its own client, this server by HTTP.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
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

/// Returns when the server has its functions.
pub(crate) fn deploy(server: &Server, product: Product, count: usize) -> Result<()> {
    if count == 0 {
        return Ok(());
    }
    if product == Product::Ours {
        // In its first moments it has no worker to try a function in, and says so.
        let began = Instant::now();
        while let Err(error) = put(server, 0) {
            ensure!(began.elapsed() < Duration::from_secs(30), error);
            std::thread::sleep(Duration::from_millis(50));
        }
        for number in 1..count {
            put(server, number)?;
        }
    } else {
        let sources: Vec<String> = (0..count).map(case::function).collect();
        let output = Command::new(package_folder().join(".venv-tabpy/bin/python"))
            .args(["-c", DEPLOY, &format!("http://{}/", server.address), &serde_json::to_string(&sources)?])
            .output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    wait_for(server)
}

fn put(server: &Server, number: usize) -> Result<()> {
    let line = format!("PUT /functions/add_one_{number}");
    let mut stream = TcpStream::connect(server.address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(&server.request_to(&line, &case::function(number)))?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    let status = String::from_utf8_lossy(&answer);
    ensure!(status.starts_with("HTTP/1.1 20"), "{line}: {status}");
    Ok(())
}

fn wait_for(server: &Server) -> Result<()> {
    let (content, limit) = (Content::Query, Duration::from_secs(60));
    let request = server.request_to(&format!("POST {}", content.path()), &content.body(false));
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
