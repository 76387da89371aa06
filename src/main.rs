//! The server's command.
use tabpy_rs::config::{Arguments, Config};

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let mut arguments = Arguments::default();
    while let Some(a) = args.next() {
        match a.as_str() {
            "worker" if args.next().is_some() => return tabpy_rs::worker::run_forker(),
            "worker" => return tabpy_rs::worker::run(),
            "--disable-auth-warning" => arguments.disable_auth_warning = true,
            _ => {
                if let Some(f) = a.strip_prefix("--config=") {
                    arguments.config = Some(f.into())
                }
            }
        }
    }
    let config = Config::load(&arguments)?;
    tabpy_rs::telemetry::start(config.log.level, config.log.format, config.log.timestamps);
    let r = actix_web::rt::System::new()
        .block_on(async { tabpy_rs::startup::Application::build(&config)?.run_until_stopped().await });
    tabpy_rs::telemetry::flush();
    r
}
