//! The dashboards.

use std::collections::HashSet;
use std::fs;

use serde_json::{Value, json};

use crate::configuration::{panels, program, promtool};
use crate::rules::folder;

#[test]
fn each_panel_has_a_title_a_description_a_unit_and_the_chosen_data_source() {
    let mut titles = HashSet::new();
    for panel in panels() {
        let (title, json) = (&panel.title, &panel.json);
        assert!(titles.insert(title.clone()), "{title} exists twice");
        let description = json["description"].as_str().unwrap();
        assert!(description.ends_with('.'), "{title}: {description}");
        assert!(
            json["fieldConfig"]["defaults"]["unit"].is_string(),
            "{title}"
        );
        assert_eq!(json["datasource"]["uid"], "${datasource}", "{title}");
        for target in json["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
        }
    }
}

#[test]
fn panels_do_not_overlap_and_fit_the_width() {
    let places: Vec<_> = panels()
        .into_iter()
        .map(|panel| {
            let place = |key: &str| panel.json["gridPos"][key].as_u64().unwrap();
            let (x, y, w, h) = (place("x"), place("y"), place("w"), place("h"));
            assert!(x + w <= 24, "{}", panel.title);
            // The first word is the dashboard.
            let dashboard = panel.title.split(':').next().unwrap().to_owned();
            (dashboard, x..x + w, y..y + h, panel.title)
        })
        .collect();
    for (index, (dashboard, xs, ys, title)) in places.iter().enumerate() {
        for (other_dashboard, other_xs, other_ys, other) in &places[index + 1..] {
            let overlaps = xs.start < other_xs.end
                && other_xs.start < xs.end
                && ys.start < other_ys.end
                && other_ys.start < ys.end;
            assert!(
                dashboard != other_dashboard || !overlaps,
                "{title}, {other}"
            );
        }
    }
}

/// Returns a test of the only query of a panel: it has this one sample while there are these series.
fn panel_test(title: &str, series: &[(&str, i64)], sample: (&str, i64)) -> Value {
    let panels = panels();
    let panel = panels.iter().find(|panel| panel.json["title"] == title);
    let expr = panel.unwrap().queries("1m").remove(0);
    let series = series
        .iter()
        .map(|(series, value)| json!({"series": series, "values": value.to_string()}));
    let samples = json!([{"labels": sample.0, "value": sample.1}]);
    json!({
        "input_series": series.collect::<Vec<_>>(),
        "promql_expr_test": [{"expr": expr, "eval_time": "0m", "exp_samples": samples}],
    })
}

#[test]
fn the_depth_of_the_queue_is_that_of_the_process_that_reconciles() {
    let Some(program) = program("promtool") else {
        return;
    };
    let depth = |pod: &str| {
        format!(r#"workqueue_depth{{name="echocluster",namespace="n",pod="{pod}",priority="0"}}"#)
    };
    let leads =
        |pod: &str| format!(r#"leader_election_master_status{{namespace="n",pod="{pod}"}}"#);
    let (depths, [leader, follower]) = ([depth("a"), depth("b")], [leads("a"), leads("b")]);
    let elected = [
        (depths[0].as_str(), 3),
        (&depths[1], 1000),
        (&leader, 1),
        (&follower, 0),
    ];
    let (title, sample) = ("Depth of the queue", (r#"{priority="0"}"#, 3));
    let tests = [
        panel_test(title, &elected, sample),
        panel_test(title, &elected[..1], sample), // without an election
    ];
    let file = folder("panels").join("panels_test.yaml");
    fs::write(&file, json!({"tests": tests}).to_string()).unwrap();
    let arguments = ["test", "rules", file.to_str().unwrap()];
    promtool(&program, &arguments).unwrap_or_else(|printed| panic!("{printed}"));
}

#[test]
fn prometheus_can_read_every_query() {
    let Some(program) = program("promtool") else {
        return;
    };
    let queries = panels().into_iter().flat_map(|panel| panel.queries("1m"));
    let queries = queries.chain(crate::documents::queries());
    let rules = queries
        .enumerate()
        .map(|(number, expr)| json!({"record": format!("query:{number}"), "expr": expr}));
    let rules: Vec<_> = rules.collect();
    assert!(rules.len() > 50, "{} queries", rules.len());
    let file = folder("queries").join("rules.yaml");
    let group = json!({"groups": [{"name": "queries", "rules": rules}]});
    fs::write(&file, group.to_string()).unwrap();
    let arguments = ["check", "rules", file.to_str().unwrap()];
    promtool(&program, &arguments).unwrap_or_else(|printed| panic!("{printed}"));
}
