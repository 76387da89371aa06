//! Deployed functions: kept in a database, in force in every instance that shares it, and laid out in
//! the catalogue for workers. What is in force is always at hand without the database, so functions go
//! on working while it is away. Nothing here loads a function; a worker of the pool's tries it first.

mod database;
mod deploy;
mod describe;
mod follow;
mod import;
mod in_force;
mod name;
mod object;
mod postgres;
mod published;
mod remove;
mod roll_back;
mod shelf;
mod sqlite;
mod staged;
mod staging;
mod stored;
mod trial;
mod trouble;
mod turn;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context as _;

pub use self::database::Location;
use self::database::{Database, Keeping};
pub use self::deploy::{Deploy, Expected, New};
pub use self::describe::Change;
pub use self::name::{FunctionName, WHAT_A_NAME_TAKES};
pub use self::object::Object;
pub use self::postgres::Address;
use self::shelf::Shelf;
pub use self::sqlite::FILE;
pub use self::staged::too_large;
pub use self::staging::folder as staging_folder;
pub use self::stored::{About, Stored};
use self::trouble::{Kind, Trouble};
pub use self::view::{Attempt, Function, Load, Origin, Status, View};
use crate::failure::Failure;
use crate::pool::Pool;
use crate::telemetry;

/// How long closing the database may take.
const CLOSING: Duration = Duration::from_secs(2);

/// What the store goes by.
#[derive(Debug, Clone)]
pub struct Settings {
    pub state_path: PathBuf,
    pub location: Location,
    /// `TABPY_FUNCTIONS_PATH`
    pub functions_path: PathBuf,
    /// Whether that was asked for, rather than the default.
    pub functions_path_is_set: bool,
    /// `TABPY_MAX_FUNCTION_SIZE_MB`
    pub max_function_bytes: usize,
    /// `TABPY_FUNCTION_VERSIONS`
    pub versions: u32,
    /// The minor version of Python that workers run.
    pub python: &'static str,
}

/// The store; clones share it.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    runtime: tokio::runtime::Handle,
}

struct Shared {
    settings: Settings,
    workers: Pool,
    shelf: Mutex<Shelf>,
    /// The newest generation of the catalogue; requests carry it to workers.
    generation: Arc<AtomicU64>,
    view: RwLock<Arc<View>>,
    state: Mutex<State>,
    /// Held from a change, or from a look at the database, until what is in force says so.
    order: tokio::sync::Mutex<()>,
}

/// What the view is made of.
#[derive(Default)]
struct State {
    database: Standing,
    /// The database's generation that `deployed` is of.
    generation: i64,
    /// All versions of each function, the oldest first.
    deployed: BTreeMap<String, Vec<Arc<Stored>>>,
    /// Of the folder, with the file each comes from.
    published: BTreeMap<String, (String, Arc<Stored>)>,
    broken: BTreeMap<String, String>,
    /// Whether the folder has been gone through.
    folder_done: bool,
    /// Versions that are not known to load here, by their uuid.
    loads: BTreeMap<String, Load>,
    attempts: BTreeMap<String, Attempt>,
    /// Names that are being changed by this instance.
    turns: BTreeSet<String>,
    /// From when on it is no news that the database is closed.
    stopping: bool,
}

/// How the database is doing.
#[derive(Default)]
enum Standing {
    /// Nothing is known yet.
    #[default]
    Unknown,
    Open(Database),
    /// Not since it was last tried; with what was open before.
    Away(Trouble, Option<Database>),
}

impl Store {
    /// Begins to follow the database, and to publish the folder, in a thread of its own.
    pub fn start(
        settings: Settings,
        workers: Pool,
        catalogue: PathBuf,
        generation: Arc<AtomicU64>,
    ) -> anyhow::Result<Self> {
        let shelf = Shelf::new(catalogue).context("the folder of deployed functions could not be made")?;
        let shared = Arc::new(Shared {
            settings,
            workers,
            shelf: Mutex::new(shelf),
            generation,
            view: RwLock::default(),
            state: Mutex::default(),
            order: tokio::sync::Mutex::default(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let for_thread = Arc::clone(&shared);
        std::thread::Builder::new().name("store".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::join!(published::publish(Arc::clone(&for_thread)), follow::follow(for_thread));
            });
        })?;
        Ok(Self { shared, runtime: handle })
    }

    /// What is in force now.
    pub fn view(&self) -> Arc<View> {
        self.shared.view()
    }

    /// Why not all functions can be served or deployed, if so.
    pub fn complaint(&self) -> Option<String> {
        let state = self.shared.state();
        match &state.database {
            Standing::Unknown => Some("The store of functions is being opened.".to_owned()),
            Standing::Away(trouble, _) => Some(format!("The store of functions cannot be used: {trouble}.")),
            _ if !state.folder_done => Some("Functions of the folder are being published.".to_owned()),
            _ => None,
        }
    }

    /// Where deployed functions are kept, in words.
    pub fn place(&self) -> &'static str {
        let in_memory = matches!(&self.shared.state().database,
            Standing::Open(database) if matches!(database.keeping, Keeping::InMemory(_)));
        match &self.shared.settings.location {
            Location::Postgres { .. } => "in Postgres (DATABASE_URL), shared by all servers that use it",
            Location::Sqlite(_) if in_memory => {
                "in memory until this server ends: it may not write its state path (TABPY_STATE_PATH)"
            }
            Location::Sqlite(_) => "in SQLite, in this server's state path",
        }
    }

    pub fn max_function_bytes(&self) -> usize {
        self.shared.settings.max_function_bytes
    }

    /// Tries a function and puts it in force. Once begun, it is carried through.
    pub async fn deploy(&self, deploy: Deploy) -> Result<Function, Failure> {
        self.run(deploy::deploy(Arc::clone(&self.shared), deploy)).await
    }

    /// The archive that the client has put into the staging folder.
    pub async fn staged(&self, name: &FunctionName, src_path: &str) -> Result<Object, Failure> {
        let (shared, name, src_path) = (Arc::clone(&self.shared), name.clone(), src_path.to_owned());
        self.run(async move { staged::staged(&shared, &name, src_path).await }).await
    }

    /// Whether a path could be one in the staging folder, be there something or not.
    pub fn check_staging_path(&self, name: &FunctionName, src_path: &str) -> Result<(), Failure> {
        staged::check_staging_path(&self.shared, name, src_path)
    }

    /// Changes what a function says of itself.
    pub async fn describe(&self, name: FunctionName, change: Change) -> Result<Function, Failure> {
        self.run(describe::describe(Arc::clone(&self.shared), name, change)).await
    }

    /// Puts an earlier version in force again, as a new one.
    pub async fn roll_back(
        &self,
        name: FunctionName,
        version: u32,
        user: Option<Arc<str>>,
    ) -> Result<Function, Failure> {
        self.run(roll_back::roll_back(Arc::clone(&self.shared), name, version, user)).await
    }

    pub async fn remove(&self, name: FunctionName, user: Option<Arc<str>>) -> Result<(), Failure> {
        self.run(remove::remove(Arc::clone(&self.shared), name, user)).await
    }

    /// Lets go of the database; what is in force stays.
    pub async fn stop(&self) {
        let known = {
            let mut state = self.shared.state();
            state.stopping = true;
            match &state.database {
                Standing::Open(database) | Standing::Away(_, Some(database)) => Some(database.clone()),
                Standing::Unknown | Standing::Away(_, None) => None,
            }
        };
        if let Some(database) = known {
            let closing = self.runtime.spawn(async move { database.close().await });
            // A database that hangs is left alone: nothing is lost by that.
            let _ = tokio::time::timeout(CLOSING, closing).await;
        }
    }

    /// On the store's own thread, where a client that leaves does not interrupt it.
    async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let work = self.runtime.spawn(telemetry::still_about(work));
        work.await.unwrap_or_else(|_| Err(Failure::new(500, "The change was not carried through.")))
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the state, and then what is in force by it.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> std::io::Result<T> {
        let mut state = self.state();
        let given = change(&mut state);
        let new = state.view();
        let old = self.view();
        let generation = self.generation.load(Ordering::Acquire);
        let index = new.index(generation + 1);
        let mut outcome = Ok(());
        if old.index(generation).functions != index.functions {
            let mut shelf = self.shelf();
            outcome = shelf.publish(&index);
            if outcome.is_ok() {
                self.generation.store(generation + 1, Ordering::Release);
                let objects = index.functions.values().flat_map(|function| function.versions.values());
                shelf.sweep(&objects.filter_map(|version| version.object()).collect());
            }
        }
        if outcome.is_ok() {
            *self.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        }
        outcome.map(|()| given)
    }

    /// The same, where nobody waits to be told that it did not come about.
    fn note<T>(&self, change: impl FnOnce(&mut State) -> T) {
        if let Err(error) = self.change(change) {
            tracing::error!("the index of functions could not be written: {error}");
        }
    }

    /// Puts an object where workers find it.
    async fn shelve(self: &Arc<Self>, object: Object) -> std::io::Result<()> {
        let shared = Arc::clone(self);
        let put = tokio::task::spawn_blocking(move || shared.shelf().put(&object)).await;
        put.unwrap_or_else(|error| Err(std::io::Error::other(error)))
    }

    fn database(&self) -> Result<Database, Trouble> {
        match &self.state().database {
            Standing::Open(database) => Ok(database.clone()),
            // It is tried every few seconds; who asks meanwhile need not wait as long.
            Standing::Away(trouble, _) => Err(trouble.clone()),
            Standing::Unknown => Err(Trouble::new(
                Kind::Unreachable,
                format!("{} is being opened", self.settings.location.place()),
            )),
        }
    }
}

impl State {
    fn view(&self) -> View {
        let load = |stored: &Stored| self.loads.get(&stored.uuid).cloned().unwrap_or(Load::Successful);
        let mut functions = BTreeMap::new();
        for (name, (file, stored)) in &self.published {
            let origin = Origin::Folder { file: file.clone() };
            let function = Function::of(origin, vec![Arc::clone(stored)], Load::Successful);
            functions.extend(function.map(|function| (name.clone(), function)));
        }
        for (name, versions) in &self.deployed {
            let loaded = versions.last().map_or(Load::Successful, |stored| load(stored));
            let function = Function::of(Origin::Deployed, versions.clone(), loaded);
            functions.extend(function.map(|function| (name.clone(), function)));
        }
        View { functions, attempts: self.attempts.clone(), broken: self.broken.clone() }
    }
}
