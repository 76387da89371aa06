//! Headers there and back, and what must not be taken for one.

use proptest::prelude::*;

use super::*;

fn requests() -> impl Strategy<Value = Request> {
    any::<(u64, u32, u64, u64, u32, [bool; 3])>().prop_map(
        |(id, name_length, body_length, generation, version, flags)| Request {
            name_length,
            generation,
            version,
            stay_awake: flags[0],
            only_if_pure: flags[1],
            write_beside: flags[2],
            ..Request::plain(Task::Query, id, body_length)
        },
    )
}

fn in_memory() -> impl Strategy<Value = Request> {
    any::<(u64, u64, u64, bool)>().prop_map(|(id, generation, body_length, stay_awake)| Request {
        generation,
        stay_awake,
        in_memory: true,
        ..Request::plain(Task::Evaluate, id, body_length)
    })
}

fn replies() -> impl Strategy<Value = Reply> {
    (200u16..600, any::<(u64, u32, u32, u64, [bool; 5])>()).prop_map(
        |(status, (id, rows_in, rows_out, body_length, [fits, last, pure, impure, more]))| Reply {
            id,
            status,
            rows_in,
            rows_out,
            fits,
            last,
            pure,
            impure,
            more,
            body_length,
        },
    )
}

proptest! {
    #[test]
    fn a_header_comes_back_as_it_went(request in requests(), fed in in_memory(), reply in replies()) {
        prop_assert_eq!(Request::decode(&request.encode()), Ok(request));
        prop_assert_eq!(Request::decode(&fed.encode()), Ok(fed));
        for wrong in [
            Request { task: Task::Query, ..fed },
            Request { name_length: 1, ..fed },
            Request { only_if_pure: true, ..fed },
        ] {
            prop_assert_eq!(Request::decode(&wrong.encode()), Err(BrokenWire));
        }
        prop_assert_eq!(Reply::decode(&reply.encode()), Ok(reply));
    }

    #[test]
    fn any_other_bytes_are_an_error_and_never_a_panic(bytes: [u8; HEADER]) {
        let _ = Request::decode(&bytes);
        let _ = Reply::decode(&bytes);
    }
}

#[test]
fn a_request_is_not_taken_for_a_reply() {
    let request = Request::plain(Task::Setup, 1, 2);
    assert_eq!(Reply::decode(&request.encode()), Err(BrokenWire));
}
