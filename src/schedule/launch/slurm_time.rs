//! How long a Slurm job may still run.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long to wait for an answer of `squeue`.
const SQUEUE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often to check whether `squeue` has answered.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Seconds until a job reaches its time limit. Slurm 23.02 and later put its end into the
/// environment (`end_time`); otherwise `squeue` is asked.
pub(crate) fn seconds_left(job: &str, end_time: Option<&str>) -> Option<u64> {
    if let Some(end) = end_time.and_then(|end| end.parse::<i64>().ok()) {
        return u64::try_from(end - jiff::Timestamp::now().as_second()).ok();
    }

    let mut squeue = Command::new("squeue")
        .args(["--noheader", "--format=%L", "--jobs", job])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let began = Instant::now();
    while began.elapsed() < SQUEUE_TIMEOUT && matches!(squeue.try_wait(), Ok(None)) {
        std::thread::sleep(POLL_INTERVAL);
    }
    // Killing a process that has exited does nothing.
    drop(squeue.kill());
    let output = squeue.wait_with_output().ok()?;
    parse_duration(String::from_utf8_lossy(&output.stdout).trim())
}

/// Parses `days-hours:minutes:seconds`, of which the first parts may be missing, into seconds.
/// Returns `None` for anything else, such as `UNLIMITED`.
fn parse_duration(text: &str) -> Option<u64> {
    let (days, clock) = match text.split_once('-') {
        Some((days, clock)) => (days.parse::<u64>().ok()?, clock),
        None => (0, text),
    };
    let parts: Vec<u64> = clock
        .split(':')
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    let seconds = match parts[..] {
        [minutes, seconds] => minutes * 60 + seconds,
        [hours, minutes, seconds] => (hours * 60 + minutes) * 60 + seconds,
        _ => return None,
    };
    days.checked_mul(86_400)?.checked_add(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slurm_durations_are_parsed() {
        assert_eq!(
            ["0:05", "59:59", "1:00:00", "2-00:00:01"].map(parse_duration),
            [Some(5), Some(3599), Some(3600), Some(172_801)]
        );
        let not_durations = [
            "UNLIMITED",
            "INVALID",
            "",
            "5",
            "1-",
            "a:b",
            "99999999999999999999-0:00",
        ];
        assert_eq!(not_durations.map(parse_duration), [None; 7]);
    }
}
