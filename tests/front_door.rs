//! First contact of a user: settings, arguments, exit codes.

use crate::support::{Job, capfilt, expect, repo, stderr, stdout};

#[test]
fn every_settings_file_that_ships_loads() {
    for file in ["configs/job.toml", "demo/demo.toml"] {
        let text = std::fs::read_to_string(repo().join(file)).unwrap();
        capfilt_schemas::settings::parse(&text, &[]).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
}

#[test]
fn the_documented_defaults_are_the_defaults() {
    let text = std::fs::read_to_string(repo().join("configs/job.toml")).unwrap();
    let documented = capfilt_schemas::settings::parse(&text, &[]).unwrap();
    let urls = "[job]\nurl='a'\n[input]\nurl='b'\n[models]\ncaptioner='c'\nfilter='d'\n";
    let mut plain = capfilt_schemas::settings::parse(urls, &[]).unwrap();
    plain.job.url.clone_from(&documented.job.url);
    plain.input.url.clone_from(&documented.input.url);
    plain.models.captioner.clone_from(&documented.models.captioner);
    plain.models.filter.clone_from(&documented.models.filter);
    assert_eq!(plain, documented);
}

#[test]
fn a_misspelt_key_ends_with_code_2_and_the_right_spelling() {
    let job = Job::over_web().set(&["filter.web_treshold=0.4"]);
    let output = expect(&mut job.command("run"), 2);
    assert!(stderr(&output).contains("did you mean `web_threshold`"), "{}", stderr(&output));
}

#[test]
fn weights_that_are_not_there_end_with_code_3() {
    let job = Job::over_web().set(&["models.filter=/nowhere/filter"]);
    let output = expect(&mut job.command("run"), 3);
    assert!(stderr(&output).contains("/nowhere/filter"), "{}", stderr(&output));
}

#[test]
fn a_filter_given_as_captioner_is_recognised() {
    let filter = repo().join("tests/data/models/filter");
    let job = Job::over_web().set(&[&format!("models.captioner={}", filter.display())]);
    let output = expect(&mut job.command("run"), 3);
    assert!(stderr(&output).contains("filter"), "{}", stderr(&output));
}

#[test]
fn a_plan_counts_files_shards_and_rows_and_writes_nothing() {
    let job = Job::over_web();
    let mut plan = job.command("plan");
    let output = expect(plan.args(["--json", "--calibrate", "0"]), 0);
    let plan: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((plan["files"].as_u64(), plan["rows"].as_u64()), (Some(3), Some(2400)));
    assert!(plan.get("forecast").is_none(), "nothing was tried");
    assert!(!std::path::Path::new(&job.url).exists());
}

#[test]
fn a_plan_says_what_the_job_will_take_by_trying_some_rows_and_writes_nothing() {
    let job = Job::over_web();
    let mut plan = job.command("plan");
    let output = expect(plan.args(["--json", "--calibrate", "1", "--price-per-hour", "3"]), 0);
    let plan: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let number = |name: &str| plan["forecast"][name].as_f64().unwrap_or_else(|| panic!("{name}: {plan}"));
    assert!(number("timed_rows") >= 24.0, "three batches at least: {plan}");
    let rate = number("timed_rows") / number("timed_seconds");
    let left = 2400.0 - number("first_rows") * number("devices");
    let expected = number("first_seconds") + left / (rate * number("devices"));
    assert!((number("job_seconds") / expected - 1.0).abs() < 1e-6, "{expected}: {plan}");
    assert!((number("cost") / (3.0 * number("devices") * expected / 3600.0) - 1.0).abs() < 1e-6, "{plan}");
    let million = 1e6 * number("timed_seconds") / number("timed_rows") / 3600.0;
    assert!((number("device_hours_per_million") / million - 1.0).abs() < 1e-6, "{plan}");
    assert!((number("cost_per_million") / (3.0 * million) - 1.0).abs() < 1e-6, "{plan}");
    assert!(!std::path::Path::new(&job.url).exists());
}

#[test]
fn a_plan_stands_where_nothing_can_be_tried() {
    let job = Job::over_web().set(&["models.filter=/nowhere/filter"]);
    let output = expect(job.command("plan").arg("--json"), 0);
    let plan: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert!(plan["rows"] == 2400 && plan.get("forecast").is_none(), "{plan}");
    assert!(
        stderr(&output).contains("no forecast") && stderr(&output).contains("/nowhere/filter"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn batches_are_tried_with_a_jobs_models_and_on_a_cpu_a_job_gets_eight() {
    let job = Job::over_one_file().set(&["workers.batch=\"auto\""]);
    let mut bench = capfilt();
    bench.args(["bench", "batch", "--json", "--device", "cpu", "--sizes", "4,2"]).arg("-c").arg(job.config());
    let found: serde_json::Value = serde_json::from_str(&stdout(&expect(&mut bench, 0))).unwrap();
    let tried = found["tried"].as_array().unwrap();
    assert_eq!(tried.iter().map(|one| one["batch"].as_u64().unwrap()).collect::<Vec<_>>(), [2, 4], "{found}");
    assert!(tried.iter().all(|one| one["images_per_second"].as_f64().unwrap() > 0.0), "{found}");
    assert!([2, 4].contains(&found["batch"].as_u64().unwrap()), "{found}");
    let plan = expect(job.command("plan").args(["--json", "--calibrate", "0.1"]), 0);
    let plan: serde_json::Value = serde_json::from_str(&stdout(&plan)).unwrap();
    assert_eq!(plan["forecast"]["batch"], 8, "on a CPU it is known: {plan}");
}

#[test]
fn decoding_is_timed_on_one_core() {
    let folder = tempfile::tempdir().unwrap();
    image::RgbImage::from_fn(90, 60, |x, y| image::Rgb([x as u8, y as u8, 200]))
        .save(folder.path().join("a.png"))
        .unwrap();
    std::fs::write(folder.path().join("b.jpg"), b"no picture").unwrap();
    let mut bench = capfilt();
    bench
        .args(["bench", "decode", "--json", "--seconds", "0.1", "--side", "32", "--images"])
        .arg(folder.path());
    let result: serde_json::Value = serde_json::from_str(&stdout(&expect(&mut bench, 0))).unwrap();
    assert_eq!((result["files"].as_u64(), result["broken"].as_u64()), (Some(1), Some(1)));
    assert!(
        result["images_per_second"].as_f64().unwrap() > 0.0 && result["levels_off_mean"] == 0.0,
        "{result}"
    );
}

#[test]
fn score_and_caption_print_one_json_line_per_image() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("scene.png");
    image::RgbImage::from_fn(90, 60, |x, y| image::Rgb([x as u8, y as u8, 200])).save(&image).unwrap();
    let models = repo().join("tests/data/models");
    let mut score = capfilt();
    score.args(["score", "--json", "--device", "cpu", "--text", "a red circle", "--text", "a blue square"]);
    score.arg("--model").arg(models.join("filter")).arg("--image").arg(&image);
    let scored: serde_json::Value = serde_json::from_str(&stdout(&expect(&mut score, 0))).unwrap();
    let texts = scored["texts"].as_array().unwrap();
    assert_eq!(texts.len(), 2);
    for text in texts {
        assert!(
            (0.0..=1.0).contains(&text["match"].as_f64().unwrap())
                && text["cosine"].as_f64().unwrap().abs() <= 1.0
        );
    }
    let caption = || {
        let mut caption = capfilt();
        caption.args(["caption", "--json", "--device", "cpu", "--seed", "7", "--num-captions", "2"]);
        caption.arg("--model").arg(models.join("captioner")).arg("--image").arg(&image);
        stdout(&expect(&mut caption, 0))
    };
    let captioned: serde_json::Value = serde_json::from_str(&caption()).unwrap();
    assert_eq!(captioned["captions"].as_array().unwrap().len(), 2);
    assert_eq!(caption(), caption(), "the same seed gives the same captions");
}

#[test]
fn every_command_has_a_page_of_the_manual() {
    let folder = tempfile::tempdir().unwrap();
    let man = folder.path().join("man/man1");
    expect(capfilt().arg("man").arg(&man), 0);
    let help = stdout(&expect(capfilt().arg("help"), 0));
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line.split_whitespace().next().unwrap())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.len() > 15, "{commands:?}");
    for command in commands {
        let page = std::fs::read_to_string(man.join(format!("capfilt-{command}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS") && page.contains(command), "{command}");
    }
}
