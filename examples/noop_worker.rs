//! A worker whose trials do nothing: for measuring what the coordinator itself costs
//! (`scripts/bench-orchestrator.sh`).

use std::io::{BufRead, Write};

use pentagrid::protocol::{
    FromWorker, Hello, Metrics, PROTOCOL_VERSION, ToWorker, decode_line, encode_line,
};

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let hello = Hello {
        protocol: PROTOCOL_VERSION,
        program: "noop_worker".into(),
        version: "1".into(),
        device: "thin air".into(),
        threads: 1,
        ..Hello::default()
    };
    out.write_all(encode_line(&FromWorker::Hello(hello)).as_bytes())?;
    let metrics: Metrics = [("score", 1.0)].into_iter().collect();
    for line in std::io::stdin().lock().lines() {
        let ToWorker::Run { bundle, .. } =
            decode_line(line?.as_bytes()).map_err(std::io::Error::other)?
        else {
            continue;
        };
        for request in bundle {
            // Both in one write: they are what a trial that takes no time says at once.
            let answer = encode_line(&FromWorker::Started {
                trial: request.trial.clone(),
            }) + &encode_line(&FromWorker::done(request.trial, metrics.clone()));
            out.write_all(answer.as_bytes())?;
            out.flush()?;
        }
    }
    Ok(())
}
