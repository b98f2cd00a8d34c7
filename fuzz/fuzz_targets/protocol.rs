//! Any line is a message or a short complaint; a message survives being written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pentagrid_protocol::{FromWorker, ToWorker, decode_line, encode_line};

fuzz_target!(|bytes: &[u8]| {
    match decode_line::<FromWorker>(bytes) {
        Ok(message) => {
            let line = encode_line(&message);
            assert_eq!(line.matches('\n').count(), 1);
            assert_eq!(decode_line::<FromWorker>(line.as_bytes()).expect("what we wrote can be read"), message);
        }
        Err(error) => assert!(error.to_string().len() < 2000),
    }
    if let Ok(message) = decode_line::<ToWorker>(bytes) {
        let line = encode_line(&message);
        assert_eq!(decode_line::<ToWorker>(line.as_bytes()).expect("what we wrote can be read"), message);
    }
});
