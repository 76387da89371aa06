//! From a `Config` to a running server, in the order in which things must happen, and back to nothing.
//! `/info` and the probes answer from the moment the port is bound; workers get ready behind that.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::HttpServer;
use actix_web::dev::Server;
use anyhow::{Context as _, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{Arguments, Authentication, Config};
use crate::credentials::{self, Credentials, PasswordHash, Secret};
use crate::descriptors;
use crate::http::{self, Admission, Service};
use crate::orphans;
use crate::pool::{Allowance, Folders, Limits, Pool, Start};
use crate::store::Store;
use crate::telemetry;
use crate::wire::{PROTOCOL, Setup};
use crate::worker;

/// In this time a balancer that asks every two seconds has asked twice, and sends no more calls; a
/// connection that is made while the listener closes would be lost.
const NOTICE: Duration = Duration::from_secs(5);

/// Processors for each thread of the front, which answers tens of thousands of calls a second; the others are for the workers.
const PROCESSORS_FOR_FRONT_THREAD: usize = 2;

const MOST_FRONT_THREADS: usize = 4;

/// A server that is bound and answers.
pub struct Application {
    terminate: Signal,
    interrupt: Signal,
    server: Server,
    service: Arc<Service>,
    port: u16,
}

/// A function that takes longer to load would keep whoever deploys it waiting.
const LONGEST_TRIAL: Duration = Duration::from_secs(60);

/// The exit code for a setting that cannot be used, so that a platform's log tells it from a crash.
const BAD_SETTING: u8 = 2;

const FAILED: u8 = 1;

/// Runs the server until it is stopped.
pub fn serve(arguments: &Arguments) -> ExitCode {
    let config = match Config::load(arguments) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("tabpy-rs: {error:#}");
            return ExitCode::from(BAD_SETTING);
        }
    };
    if config.python.confinement.on {
        worker::hide_memory(true);
    }
    telemetry::start(&config.log, config.http.trust_proxy);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let admission = match admission(&config) {
        Ok(admission) => admission,
        Err(error) => return give_up(&error, BAD_SETTING),
    };
    let outcome = actix_web::rt::System::new()
        .block_on(async { Application::build(&config, admission)?.run_until_stopped().await });
    let code = match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => return give_up(&error, FAILED),
    };
    telemetry::flush();
    code
}

/// Once in the log, and once for whoever has just typed the command.
fn give_up(error: &anyhow::Error, code: u8) -> ExitCode {
    tracing::error!("{error:#}");
    telemetry::flush();
    eprintln!("tabpy-rs: {error:#}");
    ExitCode::from(code)
}

impl Application {
    /// Binds, and starts everything. Must be called within an actix system.
    pub fn build(config: &Config, admission: Admission) -> anyhow::Result<Self> {
        // First of all: what the kernel sends to the first process of a container is lost until somebody listens.
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let descriptors = descriptors::ask();
        orphans::reap()?;
        let listeners = bind(&config.listen)?;
        let port = listeners.first().map_or(0, |(_, address)| address.port());
        let workers = workers(config)?;
        let catalogue = workers.folders.catalogue();
        let pool = Pool::new(workers).context("the pool's thread could not be started")?;
        let generation = Arc::default();
        let store = Store::start(config.functions.clone(), pool.clone(), catalogue, Arc::clone(&generation))?;
        let service = Arc::new(Service::new(config, admission, pool, store, generation)?);
        watch_password_file(&service)?;
        let for_threads = Arc::clone(&service);
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = (processors / PROCESSORS_FOR_FRONT_THREAD).clamp(1, MOST_FRONT_THREADS);
        let mut server = HttpServer::new(move || http::application(&for_threads))
            .workers(threads)
            .max_connections(descriptors::for_connections(descriptors, config.pool.max_workers) / threads)
            .keep_alive(http::KEEP_ALIVE)
            .client_request_timeout(http::HEADERS)
            .client_disconnect_timeout(http::COURTESY)
            .shutdown_timeout(config.shutdown_timeout.as_secs())
            .tcp_nodelay(true)
            .on_connect(http::remember_connection)
            .disable_signals();
        for (listener, _) in listeners {
            server = server.listen(listener)?;
        }
        announce(config, &service, port);
        Ok(Self { terminate, interrupt, server: server.run(), service, port })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Serves until SIGTERM or SIGINT; then, once a balancer has had time to notice, nothing new begins and
    /// requests in flight finish.
    pub async fn run_until_stopped(self) -> anyhow::Result<()> {
        let (mut terminate, mut interrupt) = (self.terminate, self.interrupt);
        let handle = self.server.handle();
        let service = Arc::clone(&self.service);
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            service.stopping.store(true, Ordering::Relaxed);
            if service.watch.is_kept() {
                tracing::info!("stopping: not ready any more, until the balancer has noticed");
                tokio::time::sleep(NOTICE).await;
            }
            tracing::info!("stopping: requests in flight may finish");
            handle.stop(true).await;
        });
        let outcome = self.server.await.context("the server failed");
        self.service.store.stop().await;
        self.service.pool.stop();
        let service = Arc::clone(&self.service);
        let _ = tokio::task::spawn_blocking(move || service.pool.remove_folders()).await;
        tracing::info!("stopped");
        outcome
    }
}

fn admission(config: &Config) -> anyhow::Result<Admission> {
    let credentials = match &config.authentication {
        Authentication::OpenToAll | Authentication::OpenOnLoopback => return Ok(Admission::Open),
        Authentication::Required { password_file, user } => {
            let user = user.as_ref().map(|user| {
                let hash = PasswordHash::of(&user.name, user.password.reveal().as_bytes());
                (user.name.clone(), hash)
            });
            Credentials::load(password_file.clone(), user)?
        }
        Authentication::MadeUp { path } => {
            let show = |password: &Secret| {
                // On stderr and nowhere else: the log is kept, and read by more people.
                eprintln!(
                    "No password was set, so one was made up. It is shown this once.\n  user:     tabpy\n  password: {}",
                    password.reveal()
                );
            };
            match credentials::made_up_user(path) {
                // As in most containers, where a folder belongs to the image.
                Err(error) => {
                    let (name, password) = credentials::user_for_now()?;
                    tracing::warn!(
                        "the password that is made up now is good until the server ends: {error:#}"
                    );
                    show(&password);
                    let hash = PasswordHash::of(&name, password.reveal().as_bytes());
                    return Ok(Admission::Credentials(Arc::new(Credentials::load(
                        None,
                        Some((name, hash)),
                    )?)));
                }
                Ok(Some(password)) => show(&password),
                Ok(None) => tracing::info!(
                    file = %path.display(),
                    "the password of the user tabpy was made up at an earlier start; delete the file that keeps it to have \
                     a new one made, or set TABPY_USERNAME and TABPY_PASSWORD"
                ),
            }
            Credentials::load(Some(path.clone()), None)?
        }
    };
    Ok(Admission::Credentials(Arc::new(credentials)))
}

/// Every address of the list; one whose protocol the machine lacks may be missing.
fn bind(addresses: &[SocketAddr]) -> anyhow::Result<Vec<(TcpListener, SocketAddr)>> {
    let mut listeners = Vec::new();
    let mut port = None;
    let mut last_error = None;
    for address in addresses {
        let mut address = *address;
        if let (0, Some(port)) = (address.port(), port) {
            address.set_port(port);
        }
        match listen(address) {
            Ok(listener) => {
                let bound = listener.local_addr()?;
                port = Some(bound.port());
                listeners.push((listener, bound));
            }
            Err(error) if is_missing_protocol(&error) && addresses.len() > 1 => {
                last_error = Some((address, error))
            }
            Err(error) => bail!("cannot listen on {address}: {error}. {}", remedy(&error)),
        }
    }
    match (listeners.is_empty(), last_error) {
        (true, Some((address, error))) => bail!("cannot listen on {address}: {error}"),
        (true, None) => bail!("there is no address to listen on; see TABPY_HOST"),
        (false, _) => Ok(listeners),
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = rustix::net::socket_with(
        family,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        Some(ipproto::TCP),
    )?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        // IPv4 has a socket of its own.
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, 1024)?;
    Ok(TcpListener::from(socket))
}

fn is_missing_protocol(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    matches!(
        Errno::from_io_error(error),
        Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL | Errno::PROTONOSUPPORT)
    )
}

fn remedy(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            "Another program uses that port: stop it, or choose another port with PORT or TABPY_PORT."
        }
        std::io::ErrorKind::PermissionDenied => {
            "Ports below 1024 are for the administrator: choose another one with PORT or TABPY_PORT."
        }
        _ => "See TABPY_HOST and TABPY_PORT.",
    }
}

fn workers(config: &Config) -> anyhow::Result<Start> {
    let pool = &config.pool;
    let folders = Folders::create()?;
    Ok(Start {
        limits: Limits {
            workers: pool.workers,
            max_workers: pool.max_workers,
            queue_size: pool.queue_size,
            max_request_bytes: config.http.max_request_bytes,
            max_response_bytes: pool.max_response_bytes,
            script_output_bytes: pool.script_output_bytes,
            worker_requests: pool.worker_requests,
            trial_timeout: config.query_timeout.duration.min(LONGEST_TRIAL),
            allowance: Allowance::new(
                pool.worker_memory_bytes,
                pool.script_processes,
                pool.script_disk_bytes,
                crate::memory::total(),
            ),
        },
        setup: Setup {
            protocol: PROTOCOL,
            python: config.python.executable.to_string_lossy().into_owned(),
            preload: config.python.preload.clone(),
            import_in_worker: Vec::new(),
            max_response_bytes: pool.max_response_bytes,
            worker_memory_bytes: pool.worker_memory_bytes,
            script_disk_bytes: pool.script_disk_bytes,
            confinement: config.python.confinement.clone(),
            // Each process learns of its own.
            folder: PathBuf::new(),
            catalogue: folders.catalogue(),
        },
        environment: config.python.environment.clone(),
        folders,
    })
}

/// Reads the password file again when it changes.
fn watch_password_file(service: &Arc<Service>) -> anyhow::Result<()> {
    let Admission::Credentials(credentials) = &service.admission else { return Ok(()) };
    let credentials = Arc::downgrade(credentials);
    std::thread::Builder::new().name("passwords".to_owned()).spawn(move || {
        while let Some(credentials) = credentials.upgrade() {
            credentials.reload_if_changed();
            drop(credentials);
            std::thread::sleep(Duration::from_secs(1));
        }
    })?;
    Ok(())
}

fn announce(config: &Config, service: &Service, port: u16) {
    let hosts: Vec<String> = config.listen.iter().map(|address| address.ip().to_string()).collect();
    let authentication = match (&service.admission, &config.authentication) {
        (Admission::Credentials(_), _) => "required",
        (Admission::Open, Authentication::OpenToAll) => "off",
        (Admission::Open, _) => "off, for this machine only",
    };
    tracing::info!(
        port,
        hosts = hosts.join(","),
        authentication,
        workers = config.pool.workers,
        python = env!("TABPY_LINKED_PYTHON_VERSION"),
        version = env!("CARGO_PKG_VERSION"),
        "listening"
    );
}
