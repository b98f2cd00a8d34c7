//! A ledger with any bytes changed, cut off at any place, is read or refused, for reading and for
//! writing: never a panic, and what is refused for writing is left as it was.
#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use pentagrid::{
    plan::Fingerprint,
    grid::Grid,
    ledger::{Consent, Holder, Opened, Reader, SessionInfo, open_for_run},
    spec::{self, Spec},
    sweep::sweep_rows,
};

const SWEEP: &str = "name: t\nworker: [w]\nmetric: {name: score, goal: maximize}\nseeds: {tune: 2, final: 1}\n\
                     parameters: {x: {values: [1, 2, 3]}}\n";

fn session() -> SessionInfo {
    SessionInfo {
        holder: Holder { host: "here".into(), pid: 1, since: "2026-01-01T00:00:00.000Z".into() },
        boot_id: "boot".into(),
        command: "pentagrid run".into(),
        version: "0".into(),
        git: None,
        devices: "cpu".into(),
        folder: "/".into(),
    }
}

/// Opens a run directory for the sweep.
fn open(dir: &Path, spec: &Spec) -> Option<Opened> {
    let grid = Grid::new(spec);
    let sweep = sweep_rows(SWEEP, spec, &grid);
    open_for_run(dir, sweep, &session(), Consent::Refuse, |_| Fingerprint::default(), &|_| ()).ok()
}

/// A sound ledger with two trials, one file without a write-ahead log.
fn sound() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let dir = folder("template");
        let spec = spec::read(SWEEP, "sweep.yaml").expect("the sweep is valid");
        let opened = open(&dir, &spec).expect("a new ledger");
        opened
            .connection
            .execute_batch(
                "INSERT INTO trial (point, seed, phase, state, metrics) SELECT point, 0, 'tune', 'done', '{\"score\":1.5}' FROM point LIMIT 2;
                 INSERT INTO epoch SELECT id, 'epoch', 1.5, '{\"score\":1.0}' FROM trial;
                 INSERT INTO attempt (trial, started_at, outcome, log) SELECT id, '2026', 'done', 'logs/x' FROM trial;
                 PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE;",
            )
            .expect("valid rows");
        drop(opened);
        std::fs::read(dir.join("ledger.sqlite")).expect("it is there")
    })
}

/// An empty folder in memory, one for each process.
fn folder(name: &str) -> std::path::PathBuf {
    let dir = Path::new("/dev/shm").join(format!("pentagrid-fuzz-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).expect("memory");
    dir
}

fuzz_target!(|changes: &[u8]| {
    let mut bytes = sound().to_vec();
    let (cut, changes) = changes.split_first().map_or((0, changes), |(cut, rest)| (*cut, rest));
    for change in changes.chunks_exact(4) {
        let place = u32::from_le_bytes([change[0], change[1], change[2], 0]) as usize % bytes.len();
        bytes[place] = change[3];
    }
    if cut > 127 {
        bytes.truncate(bytes.len() * usize::from(cut - 128) / 128);
    }
    let dir = folder("ledger");
    let path = dir.join("ledger.sqlite");
    std::fs::write(&path, &bytes).expect("memory");
    if let Ok(reader) = Reader::open(&dir) {
        let _ = (reader.spec_text(), reader.sessions(), reader.workers());
        if let Ok(trials) = reader.trials() {
            for trial in trials {
                let _ = (reader.history_of(trial.id), reader.attempts(trial.id));
            }
        }
    }
    let spec = spec::read(SWEEP, "sweep.yaml").expect("the sweep is valid");
    // What can be opened may be put in order; what cannot must stay as it was.
    if open(&dir, &spec).is_none() {
        let after = std::fs::read(&path).expect("still there");
        // SQLite notes in the header (its first 100 bytes) which kind of journal it keeps.
        assert!(after.len() == bytes.len() && after.iter().skip(100).eq(bytes.iter().skip(100)), "a refused ledger was changed");
    }
});
