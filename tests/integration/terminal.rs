//! What comes from workers and programs reaches a terminal without anything that it obeys, each
//! message on one line.

use crate::support::Test;

/// A worker whose every text would do something to a terminal.
const WORKER: &str = r#"
echo '{"type":"hello","protocol":1,"program":"p\u001b]0;title\u0007\nFAKE line","version":"1\u001b[31m","device":"d\r\u009b2J\nFAKE line","threads":1}'
while read -r line; do
  id=$(echo "$line" | sed 's/.*"trial":"\([^"]*\)".*/\1/')
  echo "{\"type\":\"started\",\"trial\":\"$id\"}"
  case "$line" in
    *'"x":1'*) echo "{\"type\":\"epoch\",\"trial\":\"$id\",\"epoch\":1,\"values\":{\"o\\u001b[2Jther\\nFAKE line\":1}}"
               echo "{\"type\":\"done\",\"trial\":\"$id\",\"metrics\":{\"loss\":0.5,\"o\\u001b[2Jther\\nFAKE line\":1,\"\\u202eevil\":2}}";;
    *) echo "{\"type\":\"failed\",\"trial\":\"$id\",\"kind\":\"bad_config\",\"message\":\"\\u001b[1;31mred\\u001b[0m\\r\\nFAKE line\\u0007\\u202e\"}";;
  esac
done
"#;

#[test]
fn nothing_that_a_terminal_obeys_comes_from_a_worker() {
    let test = Test::with_spec(
        "name: t\nworker: [./train.sh]\nmetric: {name: loss, goal: minimize}\nseeds: {tune: 1, final: 1}\n\
         arms:\n  a: {label: \"la\u{202e}bel\", parameters: {x: {values: [1]}, mode: {values: [\"a\u{202e}b\"]}}}\n  \
         b: {parameters: {x: {values: [2]}}}\n",
    );
    test.write_script(WORKER);
    let mut seen = vec![
        test.run(&["run", "sweep.yaml"]).expect(3),
        test.run(&["run", "sweep.yaml", "-vv", "--retry-failed"]),
    ];
    for arguments in [
        &["status"][..],
        &["trials"],
        &["watch", "--once"],
        &["report"],
        &["verify", "-n", "1"],
    ] {
        seen.push(test.run(&[&[arguments[0], "runs/t"], &arguments[1..]].concat()));
    }
    seen.push(test.run(&["plan", "sweep.yaml", "--trials"]));
    let listed = test.run(&["trials", "runs/t", "--json"]).expect(0).stdout;
    for line in listed.lines() {
        let trial: serde_json::Value = serde_json::from_str(line).unwrap();
        seen.push(
            test.run(&["show", "runs/t", trial["trial"].as_str().unwrap()])
                .expect(0),
        );
        if trial["state"] == "done" {
            assert_eq!(
                trial["metrics"]["o\u{1b}[2Jther\nFAKE line"], 1.0,
                "data for programs is exact: {line}"
            );
        }
    }
    for ran in &seen {
        let text = ran.all();
        let bad = |letter: char| {
            (letter.is_control() && !matches!(letter, '\n' | '\t'))
                || matches!(letter, '\u{202a}'..='\u{202e}')
        };
        assert!(!text.contains(bad), "{text:?}");
        assert!(
            !text
                .lines()
                .any(|line| line.trim_start().starts_with("FAKE")),
            "{text}"
        );
    }
    let (said, shown) = (&seen[0].stderr, &seen.last().unwrap().stdout);
    assert!(said.contains(r"red\r\nFAKE line\u{7}\u{202e}"), "{said}");
    assert!(
        seen.iter()
            .any(|ran| ran.stdout.contains(r"other\nFAKE line")),
        "{shown}"
    );
}
