//! Readers of ledgers of every version, and beside a coordinator that writes.

use super::*;

#[test]
fn ledgers_from_before_there_were_launchers_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let writer = schema::open_writable(&dir.path().join(FILE_NAME), None).unwrap();
    let drop = |column: &str| writer.execute_batch(&format!("ALTER TABLE worker DROP COLUMN {column}")).unwrap();
    ["launcher", "host", "job", "waits"].into_iter().for_each(drop);
    writer.pragma_update(None, "user_version", 3).unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!((reader.workers().unwrap().len(), reader.waiting().unwrap()), (0, Vec::new()));
}

#[test]
fn a_frozen_reader_sees_one_moment_and_stops_nobody() {
    for network in [None, Some("NFS")] {
        let dir = tempfile::tempdir().unwrap();
        let writer = schema::open_writable(&dir.path().join(FILE_NAME), network).unwrap();
        let revise = |text: &str| writer.execute("INSERT INTO spec (text, accepted_at) VALUES (?, '')", [text]).unwrap();
        revise("first");
        let reader = Reader::open(dir.path()).unwrap();
        reader.freeze().unwrap();
        revise("second");
        let seen = if network.is_none() { "first" } else { "second" };
        assert_eq!(reader.spec_text().unwrap(), seen);
        assert_eq!(Reader::open(dir.path()).unwrap().spec_text().unwrap(), "second");
    }
}
