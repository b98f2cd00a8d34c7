//! How `srun` is called, by example.

use super::*;
use crate::ledger::WorkerId;
use crate::schedule::run_mark::Mark;
use crate::schedule::slot_index::SlotIndex;

fn line() -> CommandLine {
    CommandLine {
        command: ["train", "it"].map(str::to_owned).into(),
        environment: [
            ("A".to_owned(), "1".to_owned()),
            (MARK.to_owned(), "/r".to_owned()),
        ]
        .into(),
        workdir: Some("/data".into()),
        ..CommandLine::default()
    }
}

fn words(spec: &SlurmSpec, around: &Surroundings, request: &DeviceRequest) -> String {
    let slurm = Slurm::new(spec, around, request, 2, "/bin/pentagrid").unwrap();
    let mark = Mark {
        dir: "/r".to_owned(),
        id: "f00d".to_owned(),
        legacy: false,
    };
    let made = slurm.wrap(
        line(),
        Place {
            slot: SlotIndex(0),
            worker: WorkerId(5),
            mark: &mark,
            metrics: None,
        },
    );
    assert_eq!(made.environment, [("A".to_owned(), "1".to_owned())].into());
    assert!(made.without.contains(&MARK.to_owned()));
    format!(
        "{} workers: {}",
        slurm.slots(2).len(),
        made.command.join(" ")
    )
}

fn inside() -> Surroundings {
    Surroundings {
        job: Some("7".to_owned()),
        gpus: 4,
        cpus: 16,
        variables: ["SLURM_JOB_ID", "SLURM_CONF"].map(str::to_owned).into(),
        ..Surroundings::default()
    }
}

#[test]
fn srun_gets_the_options_that_each_place_needs() {
    let outside = Surroundings {
        cluster_has_gpus: true,
        ..Surroundings::default()
    };
    let spec = SlurmSpec {
        max_workers: Some(20),
        partition: Some("gpu".to_owned()),
        time: Some("90".to_owned()),
        mem: Some("8G".to_owned()),
        args: vec!["--constraint=a100".to_owned()],
        ..SlurmSpec::default()
    };
    let auto = DeviceRequest::Auto;
    let all = [
        words(&SlurmSpec::default(), &outside, &auto),
        words(&spec, &outside, &auto),
        words(
            &SlurmSpec::default(),
            &outside,
            &DeviceRequest::Cpu(Some(3)),
        ),
        words(&SlurmSpec::default(), &inside(), &auto),
        words(&SlurmSpec::default(), &inside(), &DeviceRequest::Cpu(None)),
        words(
            &SlurmSpec {
                steps: Some(false),
                ..SlurmSpec::default()
            },
            &inside(),
            &auto,
        ),
    ];
    insta::assert_snapshot!(all.join("\n"), @r#"
8 workers: srun --job-name=pg-9d1fde6159.5 --nodes=1 --ntasks=1 --export=ALL --chdir=/ --cpus-per-task=2 --gpus=1 /bin/pentagrid agent --silence 120 --run /r --workdir /data -- train it
20 workers: srun --job-name=pg-9d1fde6159.5 --nodes=1 --ntasks=1 --export=ALL --chdir=/ --cpus-per-task=2 --partition=gpu --time=90 --mem=8G --gpus=1 --constraint=a100 /bin/pentagrid agent --silence 120 --run /r --workdir /data -- train it
3 workers: srun --job-name=pg-9d1fde6159.5 --nodes=1 --ntasks=1 --export=ALL --chdir=/ --cpus-per-task=2 /bin/pentagrid agent --silence 120 --run /r --workdir /data -- train it
4 workers: srun --job-name=pg-9d1fde6159.5 --nodes=1 --ntasks=1 --export=ALL --chdir=/ --cpus-per-task=2 --exact --mem=0 --gpus=1 /bin/pentagrid agent --silence 120 --run /r --workdir /data -- train it
8 workers: srun --job-name=pg-9d1fde6159.5 --nodes=1 --ntasks=1 --export=ALL --chdir=/ --cpus-per-task=2 --exact --mem=0 --gres=none /bin/pentagrid agent --silence 120 --run /r --workdir /data -- train it
8 workers: srun --job-name=pg-9d1fde6159.5 --nodes=1 --ntasks=1 --export=ALL --chdir=/ --cpus-per-task=2 --gpus=1 /bin/pentagrid agent --silence 120 --run /r --workdir /data -- train it
"#);
}

#[test]
fn variables_of_an_allocation_are_kept_from_srun() {
    let slurm = |steps| {
        let spec = SlurmSpec {
            steps,
            ..SlurmSpec::default()
        };
        let mark = Mark {
            dir: "/r".to_owned(),
            id: "f00d".to_owned(),
            legacy: false,
        };
        let place = Place {
            slot: SlotIndex(0),
            worker: WorkerId(5),
            mark: &mark,
            metrics: None,
        };
        Slurm::new(&spec, &inside(), &DeviceRequest::Auto, 1, "p")
            .unwrap()
            .wrap(line(), place)
            .without
    };
    let has = |steps, name: &str| slurm(steps).iter().any(|other| other == name);
    assert!(
        has(None, "SLURM_MEM_PER_CPU") && !has(None, "SLURM_JOB_ID"),
        "steps belong to the job"
    );
    assert!(
        has(Some(false), "SLURM_JOB_ID") && !has(Some(false), "SLURM_CONF"),
        "jobs of their own do not"
    );
}

#[test]
fn requests_that_cannot_be_met_are_refused() {
    let no = |spec: &SlurmSpec, request: &DeviceRequest| {
        Slurm::new(spec, &Surroundings::default(), request, 1, "p")
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    let steps = SlurmSpec {
        steps: Some(true),
        ..SlurmSpec::default()
    };
    assert!(
        no(&steps, &DeviceRequest::Auto)
            .starts_with("the launcher's `steps: true` needs an allocation")
    );
    let named = DeviceRequest::Cuda(Some(vec!["0".to_owned()]));
    assert!(
        no(&SlurmSpec::default(), &named).starts_with("--devices cannot name GPUs under Slurm")
    );
}
