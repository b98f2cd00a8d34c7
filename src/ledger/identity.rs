//! Which run directory this is, however it is called: the same one as in the last session, or a
//! copy of it, whose processes are not its own.

use rusqlite::{Connection, OptionalExtension};

use super::place::Place;
use super::session::SessionInfo;

/// What identifies a run directory, however it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// A random name, recorded with each session.
    pub id: String,
    /// Whether the last session was of a version that recorded no identity: its processes carry
    /// only the directory's path.
    pub of_earlier_version: bool,
    /// The identity of the directory that this one is a copy of, or was restored from.
    pub copied_from: Option<String>,
}

impl Identity {
    /// Returns a new random identity.
    pub fn random() -> Self {
        use std::hash::{BuildHasher, RandomState};

        // Its keys are random, for each process and each call.
        let id = format!("{:016x}", RandomState::new().hash_one(std::process::id()));
        Self {
            id,
            of_earlier_version: false,
            copied_from: None,
        }
    }
}

/// What the last session recorded about its run directory.
struct LastSession {
    identity: Option<String>,
    place: Option<String>,
    /// Whether it ran on this host since it was booted, so that device numbers mean the same.
    same_devices: bool,
}

/// Finds out which run directory this is. A directory that is not where, and what, the last
/// session recorded is a copy: it gets a new identity.
pub(super) fn identify(
    connection: &Connection,
    session: &SessionInfo,
    place: &Place,
) -> rusqlite::Result<Identity> {
    let last = connection
        .query_row(
            "SELECT identity, place, host = ? AND boot_id = ? FROM session ORDER BY id DESC
             LIMIT 1",
            [&session.holder.host, &session.boot_id],
            |row| {
                Ok(LastSession {
                    identity: row.get(0)?,
                    place: row.get(1)?,
                    same_devices: row.get(2)?,
                })
            },
        )
        .optional()?;

    let Some(last) = last else {
        return Ok(Identity::random());
    };
    let Some(id) = last.identity else {
        return Ok(Identity {
            of_earlier_version: true,
            ..Identity::random()
        });
    };

    let earlier = last.place.and_then(|place| place.parse::<Place>().ok());

    // A ledger without a recorded place is of an earlier version: it is taken to be the original.
    let is_copy = earlier.is_some_and(|earlier| !place.is_still(&earlier, last.same_devices));
    if is_copy {
        return Ok(Identity {
            copied_from: Some(id),
            ..Identity::random()
        });
    }

    Ok(Identity {
        id,
        of_earlier_version: false,
        copied_from: None,
    })
}
