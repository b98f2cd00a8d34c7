//! The page and its files, and the JSON behind it: the same as what the commands print.

use serde_json::Value;

use super::{Server, finished};

#[test]
fn the_page_is_whole_and_brings_its_policy() {
    let test = finished();
    let server = Server::start(&test, &["runs/toy"]);
    let page = server.get("/");
    assert_eq!(page.status, 200);
    for header in [
        "default-src 'none'; script-src 'self'",
        "nosniff",
        "no-referrer",
        "no-store",
    ] {
        assert!(page.head.contains(header), "{}", page.head);
    }
    // All that the page names is there, and nothing of it is somewhere else.
    let names = page
        .body
        .split(['"', '\''])
        .filter(|word| word.ends_with(".js") || word.ends_with(".css") || word.ends_with(".svg"));
    let mut left: Vec<String> = names.map(str::to_owned).collect();
    let mut seen = Vec::new();
    while let Some(name) = left.pop() {
        let file = server.get(&format!("/{}", name.trim_start_matches("./")));
        assert_eq!(file.status, 200, "{name}");
        assert!(!file.body.contains("https://"), "{name}");
        let imports = file
            .body
            .split('\'')
            .filter(|word| word.starts_with("./") && word.ends_with(".js"))
            .map(str::to_owned);
        left.extend(imports.filter(|import| !seen.contains(import)));
        seen.push(name);
    }
    assert!(seen.len() >= 8, "{seen:?}");
    assert_eq!(server.get("/../../etc/passwd").status, 404);
    assert_eq!(server.get("/elsewhere").status, 404);
}

#[test]
fn it_answers_what_the_commands_say() {
    let test = finished();
    let server = Server::start(&test, &["runs/toy"]);
    let seen = server.json("/api/overview");
    assert_eq!(
        (
            seen["sweep"]["state"].as_str(),
            seen["sweep"]["total"]["done"].as_u64()
        ),
        (Some("finished"), Some(20))
    );
    assert_eq!(seen["arms"][1]["selected"]["values"], "x = 5, deep.a = 0.5");
    let table = std::fs::read_to_string(test.path("reports/toy/table1.txt")).unwrap();
    let cell = seen["tables"][0]["rows"][0]["cells"][0]["text"]
        .as_str()
        .unwrap();
    assert!(table.contains(cell), "{cell} in\n{table}");
    let table = std::fs::read_to_string(test.path("reports/toy/table2.txt")).unwrap();
    let note = "Each final trial ran alone on its device: thin air, 1 thread.";
    assert_eq!(seen["tables"][1]["notes"][0], note);
    assert!(table.contains(note), "{table}");
    assert_eq!(seen["leaders"][0]["best"][0]["selected"], true);
    assert_eq!(
        seen["devices"]
            .as_array()
            .unwrap()
            .iter()
            .map(|slot| slot["done"].as_u64().unwrap())
            .sum::<u64>(),
        20
    );

    let total = |query: &str| {
        server.json(&format!("/api/trials?count=5&{query}"))["total"]
            .as_u64()
            .unwrap()
    };
    assert_eq!(total(""), 20);
    assert_eq!(total("arm=near"), 9);
    assert_eq!(total("state=failed"), 0);
    assert_eq!(total("q=x%3E5%20phase%3Dtune"), 4);
    let listed = test.run(&["trials", "runs/toy", "--json"]).expect(0).stdout;
    let scores = listed.lines().map(|line| {
        serde_json::from_str::<Value>(line).unwrap()["metrics"]["score"]
            .as_f64()
            .unwrap()
    });
    let above = scores.filter(|score| *score > 99.0).count() as u64;
    assert_eq!((total("q=score%3E99"), above > 0), (above, true));
    assert_eq!(total("q=away%20deep.a%3D0.5%20seed%3C1"), 2);
    assert_eq!(total("q=nosuch%3D1"), 0);
    let unknown =
        |query: &str| server.json(&format!("/api/trials?count=5&{query}"))["unknown"].to_string();
    assert_eq!(
        unknown("q=nosuch%3D1%20x%3E5%20also%3Dtext"),
        "[\"nosuch\",\"also\"]"
    );
    assert_eq!(
        unknown("q=score%3E99%20x%3E5%20seed%3D1%20state%3Ddone%20near"),
        "[]"
    );
    let best = server.json("/api/trials?count=2&sort=metric&descending=true");
    let best = &best["rows"][0];
    assert_eq!(
        (best["arm"].as_str(), best["values"].as_str()),
        (Some("Near"), Some("x=3"))
    );
    let id = best["trial"].as_str().unwrap();
    let trial = server.json(&format!("/api/trial/{id}"));
    let shown = test.run(&["show", "runs/toy", id]).expect(0).stdout;
    assert!(
        shown.trim_end().ends_with(trial["rerun"].as_str().unwrap()),
        "{shown}"
    );
    assert_eq!(trial["history"]["epochs"].as_array().unwrap().len(), 3);
    assert_eq!(server.json("/api/curves")["arms"][0]["seeds"], 3);
    let matters = server.json("/api/parameters?arm=far");
    assert_eq!(
        (
            matters["known"].as_u64(),
            matters["heat"]["cells"].as_array().unwrap().len()
        ),
        (Some(4), 2)
    );
    let rows = server.json("/api/trials?count=5&q=x=3+phase=tune")["rows"].clone();
    let ids: Vec<&str> = [0, 1]
        .into_iter()
        .map(|row| rows[row]["trial"].as_str().unwrap())
        .collect();
    let compared = server.json(&format!(
        "/api/compare?trials={},{},{},zzz",
        ids[0], ids[1], ids[0]
    ));
    assert_eq!(compared["trials"].as_array().unwrap().len(), 2);
    assert_eq!(
        (
            &compared["trials"][0]["label"],
            &compared["trials"][1]["label"]
        ),
        (&"seed=0".into(), &"seed=1".into())
    );
    assert_eq!(
        compared["trials"][0]["history"]["epochs"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    assert_eq!(
        (
            &compared["metric"],
            &compared["unknown"][0],
            &compared["common"][0][1]
        ),
        (&"score".into(), &"zzz".into(), &"Near".into())
    );
    for path in [
        "/api/trial/zzz",
        "/api/trial/..%2f..%2fetc",
        "/api/trial/0000000000-0",
        "/api/parameters?arm=none",
    ] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
}
