//! A stand-in for the server's own `/functions`, for answers that the real one does not give at will. It
//! is as strict as the contract is, and writes down what it was asked.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::command::{TABPY_PASSWORD, TABPY_USER};
use crate::http::{Listening, Reply, Request, serve};
use crate::support::basic;

pub(crate) struct Functions {
    listening: Listening,
    asked: Arc<Mutex<Vec<Request>>>,
}

/// Answers everything right with this, and everybody else as the server does.
pub(crate) fn answering(status: u16, body: &Value) -> Functions {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (seen, body) = (Arc::clone(&asked), body.clone());
    let listening = serve(move |request| {
        seen.lock().unwrap().push(request.clone());
        if request.header("authorization") != Some(&basic(TABPY_USER, TABPY_PASSWORD)) {
            let body = json!({"message": "Invalid credentials provided.", "info": "Unauthorized request."});
            return Some(Reply::json(401, &body));
        }
        Some(if body.is_null() { Reply::empty(status) } else { Reply::json(status, &body) })
    });
    Functions { listening, asked }
}

impl Functions {
    pub(crate) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.listening.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.listening.port
    }

    /// The one request.
    #[track_caller]
    pub(crate) fn asked(&self) -> Request {
        let asked = self.asked.lock().unwrap();
        assert_eq!(asked.len(), 1, "{asked:?}");
        asked[0].clone()
    }
}
