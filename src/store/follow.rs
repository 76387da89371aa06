//! Following the database: opened when it can be, looked at when somebody tells of a change and every few
//! seconds besides, and tried again for as long as it is away. What was loaded from it stays in force.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgListener;

use super::database::{Database, Keeping};
use super::import;
use super::stored::Stored;
use super::trouble::{Kind, Trouble};
use super::view::Load;
use super::{Shared, Standing, State};
use crate::catalogue::{self, Content, Trial};

/// Between two looks at the generation, for what nobody has told of.
const LOOK: Duration = Duration::from_secs(5);

/// Between two tries, from the first to the slowest.
const RETRY: Duration = Duration::from_millis(250);
const SLOWEST_RETRY: Duration = Duration::from_secs(5);

/// Never ends.
pub(super) async fn follow(shared: Arc<Shared>) {
    let mut retry = RETRY;
    loop {
        match once(&shared, &mut retry).await {
            Ok(()) => {}
            Err(trouble) => away(&shared, trouble),
        }
        tokio::time::sleep(retry).await;
        retry = (retry * 2).min(SLOWEST_RETRY);
    }
}

/// Opens the database if need be and follows it until there is trouble.
async fn once(shared: &Arc<Shared>, retry: &mut Duration) -> Result<(), Trouble> {
    let known = match &shared.state().database {
        Standing::Open(database) | Standing::Away(_, Some(database)) => Some(database.clone()),
        Standing::Unknown | Standing::Away(_, None) => None,
    };
    let database = match known {
        Some(database) => {
            database.reach().await?;
            database
        }
        None => Database::open(&shared.settings.location).await?,
    };
    import(shared, &database).await?;
    // Before the first look, so that no change falls between.
    let mut listener = database.listener().await?;
    refresh(shared, &database).await?;
    here(shared, &database);
    *retry = RETRY;
    loop {
        wait(listener.as_mut()).await;
        if database.generation().await? != shared.state().generation {
            refresh(shared, &database).await?;
        }
        here(shared, &database);
    }
}

/// Takes over what a TabPy has left in the state folder, into a database that was never used.
async fn import(shared: &Arc<Shared>, database: &Database) -> Result<(), Trouble> {
    if database.keeping == Keeping::AsItIs || database.generation().await? > 0 {
        return Ok(());
    }
    let for_reading = Arc::clone(shared);
    let reading = tokio::task::spawn_blocking(move || {
        let settings = &for_reading.settings;
        import::read(&settings.state_path, settings.max_function_bytes, settings.versions)
    });
    let Ok(found) = reading.await else { return Ok(()) };
    for why in &found.left_out {
        tracing::warn!("a function of TabPy's was not taken over: {why}");
    }
    let imported = match database.import(&found.functions).await {
        // They are all there still, and will not be taken the next time either.
        Err(trouble) if matches!(trouble.kind, Kind::Broken | Kind::Refused) => {
            tracing::error!("functions of TabPy's were not taken over: {trouble}");
            return Ok(());
        }
        imported => imported?,
    };
    if imported {
        let mut names: Vec<&str> = found.functions.iter().map(|(stored, _)| stored.name.as_str()).collect();
        names.dedup();
        tracing::info!(
            functions = names.join(", "),
            "functions of TabPy's were taken over from its state folder"
        );
    }
    Ok(())
}

/// Until somebody tells of a change, and no longer than a while.
async fn wait(listener: Option<&mut PgListener>) {
    let Some(listener) = listener else { return tokio::time::sleep(LOOK).await };
    match tokio::time::timeout(LOOK, listener.try_recv()).await {
        // A lost connection may have lost something; whether the database is there shows at once.
        Ok(_) | Err(_) => while listener.next_buffered().is_some() {},
    }
}

/// Brings what is in force up to what the database says.
async fn refresh(shared: &Arc<Shared>, database: &Database) -> Result<(), Trouble> {
    let _order = shared.order.lock().await;
    let (generation, all) = database.load().await?;
    for stored in &all {
        let Some(id) = stored.object() else { continue };
        if shared.shelf().has(id) {
            continue;
        }
        // One that is gone again by now is no longer in the next list.
        if let Some(object) = database.object(id, stored.size).await? {
            shared.shelve(object).await?;
        }
    }
    let unproven = shared.change(|state| {
        state.generation = generation;
        state.deployed.clear();
        for stored in all {
            if stored.object().is_some_and(|id| !shared.shelf().has(id)) {
                continue;
            }
            state.deployed.entry(stored.name.clone()).or_default().push(Arc::new(stored));
        }
        unproven(state, shared.settings.python)
    })?;
    for stored in unproven {
        tokio::spawn(prove(Arc::clone(shared), stored));
    }
    Ok(())
}

/// Archives in force that were made for another Python, or nobody knows for which.
fn unproven(state: &mut State, python: &str) -> Vec<Arc<Stored>> {
    let newest = state.deployed.values().filter_map(|versions| versions.last());
    let fits = |stored: &Stored| match &stored.content {
        Content::Archive { python: Some(made), .. } => made == python,
        Content::Archive { python: None, .. } => false,
        Content::Source { .. } | Content::Alias { .. } => true,
    };
    let doubtful = newest.filter(|stored| !fits(stored) && !state.loads.contains_key(&stored.uuid));
    let doubtful: Vec<_> = doubtful.cloned().collect();
    for stored in &doubtful {
        state.loads.insert(stored.uuid.clone(), Load::InProgress);
    }
    doubtful
}

/// Finds out whether a function that is in force already loads here.
async fn prove(shared: Arc<Shared>, stored: Arc<Stored>) {
    let Content::Archive { object, python } = &stored.content else { return };
    let trial = Trial {
        object: object.clone(),
        kind: catalogue::Kind::Archive,
        function: None,
        python: python.clone(),
    };
    let load = match shared.workers.try_out(&trial).await {
        Ok(_) => Load::Successful,
        Err(error) => {
            tracing::warn!(
                name = stored.name,
                version = stored.version,
                "the function does not load here, /status tells why"
            );
            Load::Failed(error.reason)
        }
    };
    let noted = shared.change(|state| state.loads.insert(stored.uuid.clone(), load));
    if let Err(error) = noted {
        tracing::warn!("the index of functions could not be written: {error}");
    }
}

fn here(shared: &Shared, database: &Database) {
    let place = database.place();
    let mut state = shared.state();
    match &state.database {
        Standing::Open(_) => return,
        Standing::Away(_, Some(_)) => tracing::info!(place, "the store of functions is back"),
        Standing::Away(_, None) | Standing::Unknown => begin(&place, database, state.deployed.len()),
    }
    state.database = Standing::Open(database.clone());
}

/// Says once where functions are kept.
fn begin(place: &str, database: &Database, functions: usize) {
    match &database.keeping {
        Keeping::Lasting => tracing::info!(place, functions, "functions are kept"),
        Keeping::AsItIs => tracing::warn!(
            place,
            functions,
            "the database of functions can only be read: nothing can be deployed"
        ),
        Keeping::InMemory(why) => tracing::warn!(
            place,
            "functions are kept in memory, and those deployed are lost when this server ends: {why}. Name a folder \
             that the server may write with TABPY_STATE_PATH, or a Postgres with DATABASE_URL"
        ),
    }
}

fn away(shared: &Shared, trouble: Trouble) {
    let mut state = shared.state();
    if state.stopping {
        return;
    }
    let known = match std::mem::take(&mut state.database) {
        Standing::Open(database) => {
            complain(&trouble);
            Some(database)
        }
        Standing::Away(before, database) => {
            if before != trouble {
                complain(&trouble);
            }
            database
        }
        Standing::Unknown => {
            complain(&trouble);
            None
        }
    };
    state.database = Standing::Away(trouble, known);
}

fn complain(trouble: &Trouble) {
    tracing::error!("the store of functions cannot be used, what was loaded stays in force: {trouble}");
}
