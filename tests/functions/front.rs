//! A stand-in for the server in front of one worker: it takes functions as the server does and keeps them in a
//! catalogue. So what the clients of both sides send is seen without the server's own store.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};
use tabpy_rs::catalogue::{Content, Kind};
use tabpy_rs::wire::{Request, Task};

use crate::worker::{Catalogue, Worker};

pub struct Front {
    pub address: String,
    state: Arc<State>,
}

struct State {
    catalogue: Mutex<Catalogue>,
    /// One at a time, as in a pool of one.
    worker: Mutex<Worker>,
    endpoints: Mutex<Map<String, Value>>,
    requests: Mutex<Vec<Seen>>,
}

/// A request that came, as far as tests look at it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

impl Front {
    pub fn start() -> Self {
        let catalogue = Catalogue::new();
        let worker = Worker::start(&catalogue);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let state = Arc::new(State {
            catalogue: Mutex::new(catalogue),
            worker: Mutex::new(worker),
            endpoints: Mutex::default(),
            requests: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || state.serve(stream));
            }
        });
        Self { address, state }
    }

    /// Runs a script in the worker, without the detour over HTTP.
    pub fn evaluate(&self, script: &str, data: Value) -> crate::worker::Answer {
        let generation = self.state.generation();
        self.state.worker.lock().unwrap().evaluate(generation, script, data)
    }

    /// Requests whose first line begins so.
    pub fn seen(&self, line: &str) -> Vec<Seen> {
        self.state
            .requests
            .lock()
            .unwrap()
            .iter()
            .filter(|seen| seen.line.starts_with(line))
            .cloned()
            .collect()
    }
}

impl State {
    fn generation(&self) -> u64 {
        self.catalogue.lock().unwrap().generation()
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(seen) = read(&mut reader) {
            self.requests.lock().unwrap().push(seen.clone());
            let (status, body) = self.answer(&seen);
            let head = format!(
                "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)).is_err() {
                return;
            }
        }
    }

    fn answer(&self, seen: &Seen) -> (u16, Vec<u8>) {
        let mut words = seen.line.split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let path = target.split('?').next().unwrap();
        let mut parts = path.trim_start_matches('/').splitn(2, '/');
        let (route, name) = (parts.next().unwrap(), parts.next().unwrap_or_default().replace("%20", " "));
        let told = |status, value: Value| (status, value.to_string().into_bytes());
        let body: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
        match (method, route) {
            ("POST", "evaluate" | "query") => {
                let task = if route == "query" { Task::Query } else { Task::Evaluate };
                let request = Request { generation: self.generation(), ..Request::plain(task, 0, 0) };
                let answer = self.worker.lock().unwrap().ask(request, &name, seen.body.clone());
                (answer.status, answer.body)
            }
            ("GET", "endpoints") => told(200, Value::Object(self.endpoints.lock().unwrap().clone())),
            ("GET", "status") => told(200, json!({})),
            ("GET", "configurations") => told(200, json!({"path": "/state/staging"})),
            ("PUT", "functions") => self.deploy(&name, seen),
            ("POST", "endpoints") => {
                let name = body["name"].as_str().unwrap();
                self.catalogue.lock().unwrap().alias(name, body["target"].as_str().unwrap());
                self.endpoints.lock().unwrap().insert(name.to_owned(), body.clone());
                told(201, body)
            }
            ("PUT", "endpoints") => {
                self.endpoints.lock().unwrap().insert(name, body.clone());
                told(200, body)
            }
            ("DELETE", "endpoints") => match self.endpoints.lock().unwrap().remove(&name) {
                Some(_) => {
                    self.catalogue.lock().unwrap().remove(&name);
                    (204, Vec::new())
                }
                None => told(404, json!({"message": format!("endpoint {name} does not exist."), "info": {}})),
            },
            _ => told(404, json!({"message": "Not Found", "info": path})),
        }
    }

    fn deploy(&self, name: &str, seen: &Seen) -> (u16, Vec<u8>) {
        let mut catalogue = self.catalogue.lock().unwrap();
        let (object, folder) = catalogue.object();
        std::fs::write(folder.join("pickle_archive"), &seen.body).unwrap();
        let tried = Worker::start(&catalogue).try_out(&object, Kind::Archive, None);
        if tried.status != 200 {
            let refused = json!({"message": "The function did not load.", "info": tried.text()});
            return (422, refused.to_string().into_bytes());
        }
        catalogue.add(name, Content::Archive { object, python: None });
        let mut endpoints = self.endpoints.lock().unwrap();
        let version = endpoints.get(name).map_or(1, |about| about["version"].as_u64().unwrap() + 1);
        let about = json!({"type": "model", "version": version, "docstring": tried.json()["functions"][0]["docstring"]});
        endpoints.insert(name.to_owned(), about.clone());
        (201, about.to_string().into_bytes())
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Seen> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let line = lines.remove(0);
    let headers: Vec<(String, String)> = lines
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut seen = Seen { line, headers, body: Vec::new() };
    let length = seen.header("Content-Length").map_or(0, |length| length.parse().unwrap());
    seen.body = vec![0; length];
    reader.read_exact(&mut seen.body).ok()?;
    Some(seen)
}
