//! Any bytes as a header: an error or a header that comes back as it went, and never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tabpy_rs::wire::{HEADER, Hello, Reply, Report, Request, Setup};

fuzz_target!(|data: &[u8]| {
    if let Some(header) = data.first_chunk::<HEADER>() {
        if let Ok(request) = Request::decode(header) {
            assert_eq!(Request::decode(&request.encode()), Ok(request));
        }
        if let Ok(reply) = Reply::decode(header) {
            assert_eq!(Reply::decode(&reply.encode()), Ok(reply));
        }
    }
    // The bodies that the two sides send each other; what is read is written as it was.
    if let Ok(setup) = serde_json::from_slice::<Setup>(data) {
        let again = serde_json::to_vec(&setup).unwrap();
        assert_eq!(serde_json::from_slice::<Setup>(&again).unwrap(), setup);
    }
    if let Ok(hello) = serde_json::from_slice::<Hello>(data) {
        let again = serde_json::to_vec(&hello).unwrap();
        assert_eq!(serde_json::from_slice::<Hello>(&again).unwrap(), hello);
    }
    if let Ok(report) = serde_json::from_slice::<Report>(data) {
        let again = serde_json::to_vec(&report).unwrap();
        assert_eq!(serde_json::from_slice::<Report>(&again).unwrap(), report);
    }
});
