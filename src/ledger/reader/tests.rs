//! Readers of ledgers of every version, and beside a coordinator that writes.

use super::*;

#[test]
fn ledgers_from_before_there_were_launchers_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let writer = connection::open_writable(&dir.path().join(FILE_NAME), None).unwrap();
    let drop = |column: &str| {
        writer
            .execute_batch(&format!("ALTER TABLE worker DROP COLUMN {column}"))
            .unwrap();
    };
    ["launcher", "host", "job", "waits"]
        .into_iter()
        .for_each(drop);
    writer.pragma_update(None, "user_version", 3).unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(
        (reader.workers().unwrap().len(), reader.waiting().unwrap()),
        (0, Vec::new())
    );
}

#[test]
fn a_frozen_reader_sees_one_moment_and_does_not_block_the_writer() {
    for network in [None, Some("NFS")] {
        let dir = tempfile::tempdir().unwrap();
        let writer = connection::open_writable(&dir.path().join(FILE_NAME), network).unwrap();
        let revise = |text: &str| {
            writer
                .execute(
                    "INSERT INTO spec (text, accepted_at) VALUES (?, '')",
                    [text],
                )
                .unwrap()
        };
        revise("first");
        let reader = Reader::open(dir.path()).unwrap();
        reader.freeze().unwrap();
        revise("second");
        let seen = if network.is_none() { "first" } else { "second" };
        assert_eq!(reader.spec_text().unwrap(), seen);
        assert_eq!(
            Reader::open(dir.path()).unwrap().spec_text().unwrap(),
            "second"
        );
    }
}

/// Two workers: one had a pack of three that took ten seconds, one had three trials one after the
/// other.
#[test]
fn the_trials_of_a_pack_count_as_the_time_that_passed() {
    let dir = tempfile::tempdir().unwrap();
    let writer = connection::open_writable(&dir.path().join(FILE_NAME), None).unwrap();
    writer.pragma_update(None, "foreign_keys", false).unwrap();
    let insert = |arm: &str, number: i64, worker: i64, times: [u32; 2]| {
        let point = format!("{arm}{number}");
        let sql = "INSERT INTO arm_point (arm, position, point) VALUES (?, ?, ?)";
        writer.execute(sql, (arm, number, &point)).unwrap();
        let sql =
            "INSERT INTO trial (id, point, seed, phase, state) VALUES (?, ?, 0, 'tune', 'done')";
        writer.execute(sql, (number, &point)).unwrap();
        let [started, ended] = times.map(|second| format!("2026-11-24T12:00:{second:02}.000Z"));
        let sql = "INSERT INTO attempt (trial, worker, started_at, ended_at, outcome, duration)
             VALUES (?, ?, ?, ?, 'done', ?)";
        writer
            .execute(
                sql,
                (
                    number,
                    worker,
                    started,
                    ended,
                    f64::from(times[1] - times[0]),
                ),
            )
            .unwrap();
    };
    (0..3).for_each(|number| insert("packed", number, 1, [5, 15]));
    (0..3).for_each(|number| {
        insert(
            "single",
            10 + number,
            2,
            [10 * number as u32, 10 * number as u32 + 9],
        );
    });
    let found = Reader::open(dir.path()).unwrap().durations().unwrap();
    assert_eq!(found["single"], (3, 27.0));
    assert!(
        found["packed"].0 == 3 && (found["packed"].1 - 10.0).abs() < 1e-3,
        "{found:?}"
    );
}

#[test]
fn a_ledger_that_is_still_being_made_is_waited_for() {
    use crate::ledger::Holder;
    let dir = tempfile::tempdir().unwrap();
    let holder = Holder {
        host: "here".into(),
        pid: 7,
        since: "now".into(),
    };
    let (lock, _) = Lock::take(dir.path(), &holder).unwrap();
    let path = dir.path().to_owned();
    let reader = std::thread::spawn(move || Reader::open(&path).map(|reader| reader.spec_text()));
    // First there is no file, then an empty one, then one with tables, then the sweep file.
    std::thread::sleep(Duration::from_millis(120));
    let path = dir.path().join(FILE_NAME);
    std::fs::write(&path, "").unwrap();
    std::thread::sleep(Duration::from_millis(120));
    let writer = connection::open_writable(&path, None).unwrap();
    std::thread::sleep(Duration::from_millis(120));
    assert!(!reader.is_finished());
    writer
        .execute_batch("INSERT INTO spec (text, accepted_at) VALUES ('name: t', '')")
        .unwrap();
    assert_eq!(reader.join().unwrap().unwrap().unwrap(), "name: t");
    drop(lock);
}

#[test]
fn a_sweep_that_was_stopped_before_it_began_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let writer = connection::open_writable(&dir.path().join(FILE_NAME), None).unwrap();
    let error = Reader::open(dir.path()).unwrap().spec_text().unwrap_err();
    assert!(error.to_string().contains("holds no sweep yet"), "{error}");
    drop(writer);
}
