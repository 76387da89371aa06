//! A worker without a server, and a catalogue made by hand: what workers do with functions, frame by frame.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tabpy_rs::catalogue::{self, Content, Function, Index, Kind, Trial, Version};
use tabpy_rs::wire::{self, Confinement, Reply, Request, Setup, Task};
use tempfile::TempDir;

/// A catalogue in the making.
pub struct Catalogue {
    folder: TempDir,
    index: Index,
    objects: usize,
}

impl Catalogue {
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("tabpy-test-").tempdir().unwrap();
        std::fs::create_dir(folder.path().join(catalogue::OBJECTS)).unwrap();
        Self { folder, index: Index::default(), objects: 0 }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A folder for one object, and its id.
    pub fn object(&mut self) -> (String, PathBuf) {
        self.objects += 1;
        let id = format!("object{}", self.objects);
        let folder = catalogue::object(self.path(), &id);
        std::fs::create_dir(&folder).unwrap();
        (id, folder)
    }

    pub fn source(&mut self, name: &str, function: &str, text: &str) {
        let (object, folder) = self.object();
        std::fs::write(folder.join(catalogue::SOURCE), text).unwrap();
        self.add(name, Content::Source { object, function: function.to_owned() });
    }

    /// An archive that TabPy's own tools made of what a script binds to `function`.
    pub fn archive(&mut self, name: &str, script: &str) {
        let (object, folder) = self.object();
        pickle(&folder, script);
        self.add(name, Content::Archive { object, python: None });
    }

    pub fn alias(&mut self, name: &str, target: &str) {
        self.add(name, Content::Alias { target: target.to_owned() });
    }

    pub fn add(&mut self, name: &str, content: Content) {
        let function = self
            .index
            .functions
            .entry(name.to_owned())
            .or_insert(Function { current: 0, versions: BTreeMap::new() });
        function.current += 1;
        function.versions.insert(function.current, Version { content, uuid: String::new() });
        self.publish();
    }

    pub fn remove(&mut self, name: &str) {
        self.index.functions.remove(name).unwrap();
        self.publish();
    }

    fn publish(&mut self) {
        self.index.generation += 1;
        let new = self.path().join("new");
        std::fs::write(&new, serde_json::to_vec(&self.index).unwrap()).unwrap();
        std::fs::rename(new, self.path().join(catalogue::INDEX)).unwrap();
    }
}

/// Has the stock tools of TabPy write an archive into the folder.
pub fn pickle(folder: &Path, script: &str) {
    let script = format!(
        "{script}\nfrom tabpy.tabpy_tools.custom_query_object import CustomQueryObject\n\
         made = function if hasattr(function, 'query') else CustomQueryObject(function, 'described')\n\
         made.save({:?})",
        folder.display().to_string()
    );
    let file = folder.with_extension("py");
    std::fs::write(&file, script).unwrap();
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv-tabpy/bin/python");
    let output = Command::new(python).arg(&file).output().unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

pub struct Worker {
    wire: UnixStream,
    process: Child,
    requests: u64,
    catalogue: PathBuf,
    _folder: TempDir,
}

/// Status and body of a reply, and whether the worker goes on.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Worker {
    pub fn start(catalogue: &Catalogue) -> Self {
        let folder = tempfile::Builder::new().prefix("tabpy-test-").tempdir().unwrap();
        let (wire, theirs) = UnixStream::pair().unwrap();
        wire.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
        let environment = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
        let process = Command::new(env!("CARGO_BIN_EXE_tabpy-rs"))
            .arg("worker")
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let setup = Setup {
            protocol: wire::PROTOCOL,
            python: environment.display().to_string(),
            preload: vec!["numpy".to_owned(), "pandas".to_owned()],
            import_in_worker: Vec::new(),
            max_response_bytes: 1 << 20,
            worker_memory_bytes: 1 << 30,
            script_disk_bytes: 1 << 20,
            confinement: Confinement::default(),
            folder: folder.path().to_owned(),
            catalogue: catalogue.path().to_owned(),
        };
        let mut worker =
            Self { wire, process, requests: 0, catalogue: catalogue.path().to_owned(), _folder: folder };
        let hello = worker.ask(Request::plain(Task::Setup, 0, 0), "", serde_json::to_vec(&setup).unwrap());
        assert_eq!(hello.status, 200, "{}", hello.text());
        worker
    }

    pub fn query(&mut self, generation: u64, name: &str, data: Value) -> Answer {
        self.query_version(generation, name, 0, data)
    }

    pub fn query_version(&mut self, generation: u64, name: &str, version: u32, data: Value) -> Answer {
        let body = serde_json::json!({"data": data}).to_string();
        let request = Request { generation, version, ..Request::plain(Task::Query, 0, 0) };
        self.ask(request, name, body)
    }

    pub fn evaluate(&mut self, generation: u64, script: &str, data: Value) -> Answer {
        let body = serde_json::json!({"script": script, "data": data}).to_string();
        let request = Request { generation, ..Request::plain(Task::Evaluate, 0, 0) };
        self.ask(request, "", body)
    }

    /// Loads an object as before a deploy; the worker ends after it.
    pub fn try_out(&mut self, object: &str, kind: Kind, function: Option<&str>) -> Answer {
        let trial =
            Trial { object: object.to_owned(), kind, function: function.map(str::to_owned), python: None };
        self.ask(Request::plain(Task::Load, 0, 0), "", serde_json::to_vec(&trial).unwrap())
    }

    pub fn ask(&mut self, request: Request, name: &str, body: impl Into<Vec<u8>>) -> Answer {
        let body = body.into();
        self.requests += 1;
        let id = self.requests;
        let request =
            Request { id, name_length: name.len() as u32, body_length: body.len() as u64, ..request };
        let mut frame = request.encode().to_vec();
        frame.extend_from_slice(name.as_bytes());
        frame.extend_from_slice(&body);
        self.wire.write_all(&frame).expect("the worker has ended");
        let reply = self.reply();
        assert_eq!(reply.id, id);
        let mut body = vec![0; reply.body_length as usize];
        self.wire.read_exact(&mut body).unwrap();
        Answer { status: reply.status, body }
    }

    fn reply(&mut self) -> Reply {
        loop {
            let mut header = [0; wire::HEADER];
            self.wire.read_exact(&mut header).expect("no reply");
            let reply = Reply::decode(&header).unwrap();
            // Said once, before the first script that may do anything.
            if !reply.impure {
                return reply;
            }
        }
    }

    /// Whether the worker has said goodbye after its last answer; waits for its end, if so.
    pub fn has_left(&mut self) -> bool {
        self.wire.set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
        let mut header = [0; wire::HEADER];
        let left = self.wire.read(&mut header).is_ok();
        self.wire.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
        left
    }

    pub fn catalogue(&self) -> &Path {
        &self.catalogue
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // A worker leads a group, in which what its scripts started is, too.
        if let Some(group) = rustix::process::Pid::from_raw(self.process.id() as i32) {
            let _gone = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ended = self.process.kill();
        let _status = self.process.wait();
    }
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The result of a call that has to be a success.
    #[track_caller]
    pub fn response(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()["response"].clone()
    }

    /// The reason of a call that has to fail.
    #[track_caller]
    pub fn failed(&self, name: &str) -> String {
        let told = self.json();
        assert_eq!(
            (self.status, &told["message"]),
            (500, &Value::from(format!("Error querying function '{name}'")))
        );
        assert_eq!(told["info"]["uri"], name);
        assert_eq!(told["info"]["type"], "QueryFailed");
        told["info"]["error"].as_str().unwrap().to_owned()
    }
}
