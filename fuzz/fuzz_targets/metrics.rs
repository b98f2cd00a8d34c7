//! Any bytes are a file of metrics of any format, or are refused with a place inside them; in which
//! pieces they come makes no difference.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pentagrid::collect::{Format, LogFile, MetricsFile, Pattern, Rows};

/// What a file gives: its rows and final values, as far as it is sound, or the damage.
fn read(format: &Format, bytes: &[u8], piece: usize) -> Result<String, String> {
    let mut log = LogFile::new(format, "loss");
    let mut rows = Rows::new();
    let mut add = |more: Rows| {
        for (position, values) in more {
            rows.entry(position).or_default().extend(&values);
        }
    };
    let mut take = || {
        for piece in bytes.chunks(piece) {
            add(log.feed(piece)?);
        }
        log.finish().map(&mut add)
    };
    match take() {
        Ok(()) => {
            // A format of which whole files are read says nothing before its end.
            let rows: Vec<String> = rows.iter().map(|(position, values)| format!("{position} {values:?}")).collect();
            Ok(format!("{rows:?} {:?}", log.last()))
        }
        Err(damage) => {
            assert!(damage.offset <= bytes.len() as u64, "{damage}");
            Err(damage.to_string())
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&kind, bytes)) = bytes.split_first() else {
        return;
    };
    let format = match kind % 7 {
        0 => Format::Wandb,
        1 => Format::TensorBoard,
        2 => Format::Csv,
        3 => Format::Json,
        4 => Format::TrainerState,
        5 => Format::Output(Pattern::Pairs),
        _ => {
            let mut file = MetricsFile::new("loss");
            let _ = file.feed(bytes).and_then(|_| file.finish());
            return;
        }
    };
    assert_eq!(read(&format, bytes, usize::from(kind / 7) + 1), read(&format, bytes, bytes.len().max(1)));
});
