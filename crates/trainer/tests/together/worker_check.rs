//! The command `worker-check`, run on the trainer.

use crate::support::Test;

#[test]
fn the_built_in_trainer_passes() {
    let trainer = env!("CARGO_BIN_EXE_pentagrid-trainer");
    let config =
        r#"{"optimizer": "sgd", "lr": 0.1, "epochs": 1, "batch_size": 10, "train_images": 20}"#;
    let ran = Test::new().run(&[
        "worker-check",
        "--metric",
        "val_accuracy",
        "--config",
        config,
        "--devices",
        "cpu",
        "--",
        trainer,
    ]);
    let text = ran.expect(0).stdout;
    assert!(
        text.ends_with("9 checks, nothing against the protocol\n"),
        "{text}"
    );
}
